"""Every prompt that was ever sent: its versions, which ones are in use, and a form for new ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Response
from sqlalchemy.engine import Connection

from grabient_ops.errors import InputError
from grabient_ops.pipeline.prompting import (
    builtin_prompt,
    current_content,
    current_prompt,
    register_prompt_text,
)
from grabient_ops.store.prompts import list_prompts
from grabient_ops.tagging.kinds import KINDS, Kind
from grabient_ops.web.fields import OnceKey, posted
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import Topic
from grabient_ops.web.page import Nothing, Page
from grabient_ops.web.parts import Parts
from grabient_ops.web.replies import Reply

router = APIRouter(prefix="/prompts", include_in_schema=False)
FOLLOWED: frozenset[Topic] = frozenset({"prompts", "responses", "refinements"})
_MOST_CHARACTERS = 200_000
_MOST_MESSAGE = 200


class Known(NamedTuple):
    """A prompt version, stored or of this release.

    Attributes:
        created_at: None for one of this release that nothing was asked with yet.
        is_current: whether new passes of its stage use it.
        is_builtin: whether it is this release's own.
    """

    version: str
    kind: str
    content: str
    message: str
    created_at: datetime | None
    answers: int
    is_current: bool
    is_builtin: bool


def list_known(connection: Connection) -> list[Known]:
    """Return all prompt versions, newest first, those in use before the others."""
    current = {current_prompt(connection, kind) for kind in KINDS}
    builtin = {prompt.version: prompt for prompt in map(builtin_prompt, KINDS)}
    found = [
        Known(*prompt, answers, prompt.version in current, prompt.version in builtin)
        for prompt, answers in list_prompts(connection)
    ]
    stored = {known.version for known in found}
    fresh = [
        Known(prompt.version, prompt.kind, prompt.content, prompt.message, None, 0,
              prompt.version in current, is_builtin=True)
        for prompt in builtin.values() if prompt.version not in stored
    ]  # fmt: skip
    return sorted(fresh + found, key=lambda known: not known.is_current)


@dataclass(frozen=True, slots=True)
class New:
    """A prompt as it is typed; `use` is "1" when new passes shall use it."""

    kind: str = "tagging"
    message: str = ""
    content: str = ""
    use: str = ""


def _read_list(reading: Reading, _params: Nothing) -> Context:
    return {"prompts": list_known(reading.connection)}


def _read_frame(reading: Reading, _params: Nothing) -> Context:
    return {"kinds": KINDS, "text": current_content(reading.connection)}


@router.post("")
def register(
    web: Parts, reply: Reply, new: Annotated[New, Depends(posted(New))], once: OnceKey
) -> Response:
    """Keep a prompt; passes in flight go on with theirs."""
    version, is_new = web.once(once, lambda: _register(web, new))
    known = "is registered" if is_new else "was registered before"
    text = f"{version} {known}{'; new passes use it' if new.use else ''}."
    return reply(text, to=f"/prompts/{version}", leave=True)


def _register(web: Parts, new: New) -> tuple[str, bool]:
    kind: Kind = "refinement" if new.kind == "refinement" else "tagging"
    # Browsers send the lines of a field with both characters; a prompt's version is its text.
    content = new.content.replace("\r\n", "\n").replace("\r", "\n")
    message = " ".join(new.message.split())
    if not message:
        raise InputError("say in one line what this version is about")
    if len(message) > _MOST_MESSAGE or len(content) > _MOST_CHARACTERS:
        raise InputError(f"a prompt has at most {_MOST_CHARACTERS:,} characters, and its line "
                         f"{_MOST_MESSAGE}")  # fmt: skip
    return register_prompt_text(web.app.services, content, message, use=bool(new.use), kind=kind)


PAGE = Page(
    path="/prompts",
    title="Prompts",
    template="prompts.html",
    params=Nothing,
    panels=(Panel("prompts-list", FOLLOWED, "prompts/list.html", _read_list),),
    frame=_read_frame,
)
