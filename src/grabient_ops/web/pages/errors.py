"""Failures by class and model; one by one with what the models wrote; asked again on a click."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Path, Response
from fastapi.responses import PlainTextResponse

from grabient_ops.errors import InputError
from grabient_ops.providers.base import PROVIDERS
from grabient_ops.store.error_pages import browse_errors
from grabient_ops.store.failures import ErrorGroup, excuse_errors, group_errors, load_error
from grabient_ops.store.history import list_asked_models
from grabient_ops.store.responses import count_strays
from grabient_ops.tagging.kinds import KINDS, Kind
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.web.fields import Number, OnceKey, Word, posted
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import Topic
from grabient_ops.web.page import Page
from grabient_ops.web.parts import Parts, Web
from grabient_ops.web.replies import Reply

router = APIRouter(prefix="/errors", include_in_schema=False)
_PER_PAGE = 20
_FOLLOWED: frozenset[Topic] = frozenset({"responses", "refinements"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which failures; "" stands for no choice.

    Attributes:
        error: the class.
        model: by the provider's id.
        run: as it was typed.
    """

    stage: Word = ""
    error: Word = ""
    provider: Word = ""
    model: Word = ""
    run: Word = ""
    batch: Word = ""

    @property
    def words(self) -> dict[str, str]:
        """The filter as it stands in an address."""
        names = ("stage", "error", "provider", "model", "run", "batch")
        return {name: word for name in names if (word := getattr(self, name))}

    def equal(self) -> dict[str, str | int | None]:
        """Return the columns to filter by.

        Raises:
            InputError: the run is no number.
        """
        run = self.run.strip()
        if run and not (run.isascii() and run.isdigit() and len(run) < 10):
            raise InputError(f"run: {run!r} is no number")
        return {
            "error_class": self.error or None,
            "provider": self.provider or None,
            "model": self.model or None,
            "run_number": int(run) if run else None,
            "batch_id": self.batch or None,
        }

    @property
    def stages(self) -> Sequence[str]:
        """The stages that are meant."""
        return [self.stage] if self.stage in KINDS else KINDS


@dataclass(frozen=True, slots=True)
class Shown(Chosen):
    """Which failures, and which page of them: `after` and `before` are ids next to it."""

    after: Number = None
    before: Number = None

    def address(self, **place: int | str) -> str:
        """Return the address of another page of the same failures."""
        words = {**self.words, **place}
        return f"/errors?{urlencode(words)}" if words else "/errors"

    @property
    def listed(self) -> str:
        """The one stage whose failures are listed; ids are counted by stage."""
        return self.stages[0]


class Group(NamedTuple):
    """Failures of a stage, class and model, and where they are listed."""

    stage: str
    group: ErrorGroup
    address: str
    is_shown: bool


def _read_groups(reading: Reading, shown: Shown) -> Context:
    groups = [
        Group(stage, group, _address_of(stage, group), _is_shown(stage, group, shown))
        for stage in KINDS
        for group in group_errors(reading.connection, stage)
    ]
    return {"groups": groups, "strays": count_strays(reading.connection)}


def _address_of(stage: str, group: ErrorGroup) -> str:
    words = {"stage": stage, "error": group.error_class, "provider": group.provider,
             "model": group.model}  # fmt: skip
    return f"/errors?{urlencode(words)}"


def _is_shown(stage: str, group: ErrorGroup, shown: Shown) -> bool:
    chosen = (shown.stage, shown.error, shown.provider, shown.model)
    return chosen == (stage, group.error_class, group.provider, group.model)


def _read_list(reading: Reading, shown: Shown) -> Context:
    page = browse_errors(
        reading.connection, shown.listed, _PER_PAGE,
        older_than=shown.after, newer_than=shown.before, **shown.equal(),
    )  # fmt: skip
    ids = [error.id for error in page.errors]
    counts = group_errors(reading.connection, shown.listed, **shown.equal())
    return {
        "stage": shown.listed,
        "errors": page.errors,
        "failures": sum(group.failures for group in counts),
        "unanswered": sum(group.unanswered for group in counts),
        "previous": shown.address(before=ids[0]) if page.has_newer and ids else None,
        "next": shown.address(after=ids[-1]) if page.has_older and ids else None,
        "first": shown.address(),
    }


def _read_frame(reading: Reading, _shown: Shown) -> Context:
    models = dict.fromkeys(model for _, model in list_asked_models(reading.connection))
    return {"stages": KINDS, "classes": tuple(ErrorClass), "providers": PROVIDERS,
            "models": tuple(models)}  # fmt: skip


@router.post("/retry")
def retry(
    web: Parts, reply: Reply, chosen: Annotated[Chosen, Depends(posted(Chosen))], once: OnceKey
) -> Response:
    """Have the failures asked again that the filter chooses."""
    count = web.once(once, lambda: _excuse(web, chosen))
    address = f"/errors?{urlencode(chosen.words)}"
    return reply(f"{count:,} failed requests may be asked again.", to=address)


def _excuse(web: Web, chosen: Chosen) -> int:
    now, equal = web.app.services.now(), chosen.equal()
    with web.app.store.write() as connection:
        return sum(excuse_errors(connection, now, stage, **equal) for stage in chosen.stages)


@router.get("/{stage}/{id}/{text}")
def show_text(
    web: Parts,
    stage: Kind,
    id: Annotated[int, Path(ge=0, le=2**53)],  # noqa: A002 - name in the path
    text: Literal["error", "response"],
) -> Response:
    """Show a whole text as it came."""
    with web.app.store.read() as connection:
        found = load_error(connection, stage, id)
    whole = getattr(found, text) if found else None
    if whole is None:
        raise HTTPException(404, f"no {text} is kept under {id}")
    return PlainTextResponse(whole)


PAGE = Page(
    path="/errors",
    title="Errors",
    template="errors.html",
    params=Shown,
    panels=(
        Panel("errors-groups", _FOLLOWED, "errors/groups.html", _read_groups),
        Panel("errors-list", _FOLLOWED, "errors/list.html", _read_list),
    ),
    frame=_read_frame,
)
