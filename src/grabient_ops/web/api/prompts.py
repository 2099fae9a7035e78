"""Prompts: every version that was ever used, and which one new passes use."""

from collections.abc import Sequence
from datetime import datetime
from difflib import unified_diff
from typing import NamedTuple

from fastapi import APIRouter
from pydantic import BaseModel

from grabient_ops.pipeline.prompting import current_prompt, register_prompt_text, use_prompt
from grabient_ops.store.prompts import PromptVersion, list_prompts, require_prompt
from grabient_ops.tagging.kinds import KINDS, Kind
from grabient_ops.web.api.route import ApiRoute, looking_up, problems
from grabient_ops.web.api.words import Id, LongText, Text
from grabient_ops.web.parts import Parts, Web

router = APIRouter(prefix="/prompts", tags=["prompts"], route_class=ApiRoute)


class ListedPrompt(NamedTuple):
    """A prompt version without its text; `answers` counts what was answered under it."""

    version: str
    kind: str
    message: str
    created_at: datetime
    answers: int
    current: bool


class NewPrompt(BaseModel):
    """A prompt to keep; `use` makes it the one of new passes of its stage."""

    content: LongText
    message: Text
    kind: Kind = "tagging"
    use: bool = True


class Registered(NamedTuple):
    """What came of it."""

    version: str
    new: bool
    current: bool


class Use(BaseModel):
    """Which stage's prompt `builtin` means."""

    kind: Kind = "tagging"


class Difference(NamedTuple):
    """Two prompts as a unified diff."""

    old: str
    new: str
    diff: Sequence[str]


@router.get("")
def list_prompts_newest_first(web: Parts) -> list[ListedPrompt]:
    """List prompt versions, newest first."""
    with web.app.store.read() as connection:
        current = {current_prompt(connection, kind) for kind in KINDS}
        found = list_prompts(connection)
    return [
        ListedPrompt(p.version, p.kind, p.message, p.created_at, answers, p.version in current)
        for p, answers in found
    ]


@router.get("/{id}", responses=problems(404))
def show_prompt(web: Parts, id: Id) -> PromptVersion:  # noqa: A002 - name in the path
    """Show a prompt with its text."""
    return _find(web, id)


@router.get("/{old}/diff/{new}", responses=problems(404))
def compare_prompts(web: Parts, old: Id, new: Id) -> Difference:
    """Show how two prompts differ."""
    before, after = _find(web, old), _find(web, new)
    lines = unified_diff(
        before.content.splitlines(), after.content.splitlines(),
        before.version, after.version, lineterm="",
    )  # fmt: skip
    return Difference(before.version, after.version, list(lines))


@router.post("", status_code=201)
def register_prompt(web: Parts, prompt: NewPrompt) -> Registered:
    """Keep a prompt; passes in flight go on with theirs."""
    version, is_new = register_prompt_text(
        web.app.services, prompt.content, prompt.message, use=prompt.use, kind=prompt.kind
    )
    return Registered(version, is_new, prompt.use)


@router.post("/{id}/use", responses=problems(404))
def use_prompt_version(web: Parts, id: Id, wanted: Use) -> PromptVersion:  # noqa: A002 - name in the path
    """Make a registered prompt, or `builtin`, the one of new passes."""
    with looking_up():
        return _find(web, use_prompt(web.app.services, id, wanted.kind))


def _find(web: Web, version: str) -> PromptVersion:
    with looking_up(), web.app.store.read() as connection:
        return require_prompt(connection, version)
