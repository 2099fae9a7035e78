"""What is configured, secrets only as set or not; the limits on spending; what runs here."""

import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple, get_args
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Response
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from grabient_ops import __version__
from grabient_ops.errors import InputError
from grabient_ops.pipeline.passes import change_budget, limits_in_force
from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.settings import Settings
from grabient_ops.store.engine import SCHEMA_REVISION
from grabient_ops.store.passes import list_passes
from grabient_ops.web.fields import OnceKey, budget, posted
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Nothing, Page
from grabient_ops.web.parts import Parts
from grabient_ops.web.replies import Reply

router = APIRouter(prefix="/settings", include_in_schema=False)
_PARTS = ("dbos", "sqlalchemy", "duckdb", "fastapi")
_GROUPS = (
    ("Providers", ("openai", "anthropic", "google", "gemini", "groq")),
    ("Refinement", ("refine",)),
    ("Search", ("embedding",)),
    ("Pictures", ("r2",)),
    ("Dashboard", ("web", "api", "public", "otlp")),
    ("Logs", ("log",)),
)
_REST = "Home and pace"


class Line(NamedTuple):
    """A setting.

    Attributes:
        variables: what may set it; the first one wins.
        value: as it is in force, or `set` and `not set` for what is secret.
        is_given: whether the environment says so.
    """

    variables: Sequence[str]
    value: str
    is_given: bool
    description: str


class Group(NamedTuple):
    """Settings that belong together."""

    name: str
    lines: Sequence[Line]

    @property
    def is_described(self) -> bool:
        """Whether there is anything to say about what they do."""
        return any(line.description for line in self.lines)


@dataclass(frozen=True, slots=True)
class NewBudget:
    """The form as it is filled in; `lift` is "1" when ticked."""

    prompt: str = ""
    budget: str = ""
    lift: str = ""


def group_settings(settings: Settings) -> list[Group]:
    """Return all settings, in groups."""
    groups: dict[str, list[Line]] = {name: [] for name in (_REST, *(name for name, _ in _GROUPS))}
    for name, field in Settings.model_fields.items():
        groups[_group_of(name)].append(_line(settings, name, field))
    return [Group(name, lines) for name, lines in groups.items()]


def _group_of(name: str) -> str:
    word = name.partition("_")[0]
    return next((group for group, words in _GROUPS if word.startswith(words)), _REST)


def _line(settings: Settings, name: str, field: FieldInfo) -> Line:
    alias = field.validation_alias
    variables = (
        [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices)
        else [alias] if isinstance(alias, str)
        else [f"GRABIENT_OPS_{name.upper()}"]
    )  # fmt: skip
    value = getattr(settings, name)
    if SecretStr in get_args(field.annotation):
        shown = "set" if value else "not set"
    else:
        shown = "not set" if value is None else _without_secrets(value)
    return Line(variables, shown, name in settings.model_fields_set, field.description or "")


def _without_secrets(value: Any) -> str:  # noqa: ANN401 - settings have many types
    """Return a value as text; of an address neither user nor query, which may hold a password."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        url = urlsplit(text)
        place = f"{url.hostname or ''}{f':{url.port}' if url.port else ''}"
    except ValueError:
        return "an address that cannot be read"
    return f"{url.scheme}://{place}{url.path}" if url.scheme and "://" in text else text


def _read_limits(reading: Reading, _params: Nothing) -> Context:
    return {"limits": limits_in_force(reading.connection, reading.services.standing_budget)}


def _read_frame(reading: Reading, _params: Nothing) -> Context:
    app = reading.app
    asked = {item.prompt_version for item in list_passes(reading.connection)}
    current = current_prompt(reading.connection)
    return {
        "groups": group_settings(app.settings),
        "current": current,
        "prompts": sorted(asked, key=lambda name: (name != current, name)),
        "places": {"home": app.settings.home, "store": app.store.url, "lake": app.lake},
        "versions": {
            "grabient-ops": __version__,
            "Python": platform.python_version(),
            "SQLite": sqlite3.sqlite_version,
            "schema of the store": SCHEMA_REVISION,
            **{name: version(name) for name in _PARTS},
        },
    }


@router.post("/budget")
def set_budget(
    web: Parts,
    reply: Reply,
    new: Annotated[NewBudget, Depends(posted(NewBudget))],
    once: OnceKey,
) -> Response:
    """Give the newest pass of a prompt version a new budget, or lift it."""
    wanted = budget(new.budget, lift=bool(new.lift))
    if wanted == "keep":
        raise InputError("say how much, or that the budget is to be lifted")
    web.once(once, lambda: change_budget(web.app.services, new.prompt or None, wanted))
    text = "The budget is lifted." if wanted == "lift" else "The budget is set; what waits goes on."
    return reply(text, to="/settings")


PAGE = Page(
    path="/settings",
    title="Settings",
    template="settings.html",
    params=Nothing,
    panels=(
        Panel(
            "settings-limits", frozenset({"targets", "budgets", "batches"}),
            "settings/limits.html", _read_limits,
        ),
    ),
    frame=_read_frame,
)  # fmt: skip
