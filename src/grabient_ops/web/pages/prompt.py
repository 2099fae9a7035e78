"""One prompt version: its text, what it changed against another one, and in the tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy.engine import Connection
from typing_extensions import override

from grabient_ops.analytics.questions.versions import version_difference
from grabient_ops.analytics.warehouse import EmptyLakeError
from grabient_ops.errors import InputError
from grabient_ops.pipeline.prompting import builtin_prompt, use_prompt
from grabient_ops.tagging.kinds import KINDS
from grabient_ops.web.chrome import CHROME
from grabient_ops.web.differences import Line, TooLongError, differ
from grabient_ops.web.fields import Word
from grabient_ops.web.live.panel import Context, Panel, Wanted
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Page
from grabient_ops.web.pages.prompts import FOLLOWED, Known, list_known
from grabient_ops.web.parts import Parts
from grabient_ops.web.replies import Reply

router = APIRouter(prefix="/prompts", include_in_schema=False)
_SHOWN_CHARACTERS = 100_000
_SHOWN_TAGS = 40

Version = Annotated[str, Path(max_length=200, pattern="^[0-9a-zA-Z]+$")]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which version, or its beginning, and which one it is held against."""

    version: Version
    against: Word = ""


def find_known(connection: Connection, version: str) -> Known:
    """Return the one prompt version that begins so.

    Raises:
        InputError: none begins so, or several do.
    """
    known = list_known(connection)
    found = [item for item in known if item.version == version] or [
        item for item in known if item.version.startswith(version)
    ]
    if len(found) != 1:
        raise InputError(f"no prompt version begins with {version!r}, or several do")
    return found[0]


def _read_head(reading: Reading, shown: Shown) -> Context:
    return {"prompt": find_known(reading.connection, shown.version)}


def _read_effect(reading: Reading, shown: Shown) -> Context:
    try:
        rows = reading.ask(version_difference, shown.against, shown.version)
    except (InputError, EmptyLakeError) as error:
        return {"rows": None, "problem": str(error)}
    return {"rows": rows[:_SHOWN_TAGS], "count": len(rows), "problem": ""}


def _read_frame(reading: Reading, shown: Shown) -> Context:
    try:
        prompt = find_known(reading.connection, shown.version)
        other = find_known(reading.connection, shown.against) if shown.against else None
    except InputError as error:
        raise HTTPException(404, str(error)) from error
    return {
        "prompt": prompt,
        "text": prompt.content[:_SHOWN_CHARACTERS],
        "others": _others(reading.connection, prompt),
        "other": other,
        "lines": _compare(other, prompt) if other else None,
    }


def _others(connection: Connection, prompt: Known) -> Sequence[Known]:
    return [
        known for known in list_known(connection)
        if known.kind == prompt.kind and known.version != prompt.version
    ]  # fmt: skip


def _compare(old: Known, new: Known) -> list[Line] | None:
    try:
        return differ(old.content, new.content)
    except TooLongError:
        return None


@router.post("/{version}/use")
def use(web: Parts, reply: Reply, version: Version) -> Response:
    """Make it the prompt of new passes of its stage."""
    builtin = {builtin_prompt(kind).version: kind for kind in KINDS}.get(version)
    # The release's own may not be stored yet, and is chosen by choosing none.
    chosen = use_prompt(web.app.services, "builtin" if builtin else version, builtin or "tagging")
    return reply(f"New passes use {chosen}.", to=f"/prompts/{chosen}")


@router.get("/{version}/text")
def show_text(web: Parts, version: Version) -> PlainTextResponse:
    """Show the text as it is sent, and nothing else."""
    with web.app.store.read() as connection:
        try:
            return PlainTextResponse(find_known(connection, version).content)
        except InputError as error:
            raise HTTPException(404, str(error)) from error


_HEAD = Panel("prompt-head", FOLLOWED, "prompt/head.html", _read_head)
_EFFECT = Panel(
    "prompt-effect", FOLLOWED | {"warehouse"}, "prompt/effect.html", _read_effect, pace="slow"
)


class _PromptPage(Page[Shown]):
    """Only a comparison needs the warehouse."""

    @override
    def wanted(self, params: Shown) -> list[Wanted]:
        panels = [_HEAD, _EFFECT] if params.against else [_HEAD]
        return [CHROME, *(Wanted(panel, params) for panel in panels)]


PAGE = _PromptPage(
    path="/prompts/{version}",
    title="Prompt",
    template="prompt.html",
    params=Shown,
    panels=(_HEAD, _EFFECT),
    frame=_read_frame,
)
