"""Which prompts are in use: the release's own, or the operator's choice."""

from sqlalchemy.engine import Connection

from grabient_ops.errors import InputError
from grabient_ops.pipeline.services import Services
from grabient_ops.store.changes import announce
from grabient_ops.store.notes import drop_note, get_note, set_note
from grabient_ops.store.prompts import (
    PromptVersion,
    get_prompt,
    register_prompt,
    require_prompt,
)
from grabient_ops.tagging.kinds import KINDS, Kind
from grabient_ops.tagging.prompts import (
    Prompt,
    prompt_version,
    refinement_prompt,
    tagging_prompt,
)


def current_prompt(connection: Connection, kind: Kind = "tagging") -> str:
    """Return the prompt version that new passes use: the operator's choice, or the built-in one."""
    return get_note(connection, _note(kind)) or builtin_prompt(kind).version


def builtin_prompt(kind: Kind) -> Prompt:
    """Return the release's own prompt of a stage."""
    return refinement_prompt() if kind == "refinement" else tagging_prompt()


def current_content(connection: Connection, kind: Kind = "tagging") -> str:
    """Return the text of the prompt that new passes use."""
    found = get_prompt(connection, current_prompt(connection, kind))
    return found.content if found else builtin_prompt(kind).content


def register_builtin(services: Services) -> None:
    """Keep the built-in prompts of this release with their content."""
    with services.store.write() as connection:
        for kind in KINDS:
            register(connection, services, builtin_prompt(kind))


def register(connection: Connection, services: Services, prompt: Prompt) -> bool:
    """Keep a prompt; return whether it was new."""
    row = PromptVersion(prompt.version, prompt.kind, prompt.content, prompt.message, services.now())
    return register_prompt(connection, row)


def register_prompt_text(
    services: Services, content: str, message: str, *, use: bool, kind: Kind = "tagging"
) -> tuple[str, bool]:
    """Keep a prompt; return its version and whether it was new.

    Args:
        services: the parts.
        content: the system prompt, not blank.
        message: one line on what it is about.
        use: make it the prompt of new passes; runs in flight keep theirs.
        kind: the stage that it is for.

    Raises:
        InputError: it is blank, or registered for the other stage.
    """
    if not content.strip():
        raise InputError("the prompt is empty")
    prompt = Prompt(prompt_version(content), kind, content, message)
    with services.store.write() as connection:
        is_new = register(connection, services, prompt)
        _require_kind(get_prompt(connection, prompt.version), kind)
        if use:
            _choose(connection, services, kind, prompt.version)
    return prompt.version, is_new


def use_prompt(services: Services, version: str, kind: Kind = "tagging") -> str:
    """Make a registered prompt the one of new passes of its stage; return its version.

    Args:
        services: the parts.
        version: a version or its beginning; `builtin` goes back to the release's own.
        kind: which stage's built-in prompt `builtin` means.

    Raises:
        InputError: no version begins so, several do, or its text is not known.
    """
    with services.store.write() as connection:
        if version == "builtin":
            drop_note(connection, _note(kind))
            builtin = builtin_prompt(kind).version
            announce(connection, "prompts", [builtin], services.now())
            return builtin
        found = require_prompt(connection, version)
        if not found.content:
            raise InputError(f"the text of {found.version} is not known, so it cannot be asked")
        _choose(connection, services, found.kind, found.version)
        return found.version


def _choose(connection: Connection, services: Services, kind: str, version: str) -> None:
    set_note(connection, _note(kind), version)
    announce(connection, "prompts", [version], services.now())


def _require_kind(prompt: PromptVersion | None, kind: Kind) -> None:
    if prompt is not None and prompt.kind != kind:
        raise InputError(f"{prompt.version} is registered as a {prompt.kind} prompt")


def _note(kind: str) -> str:
    return f"{kind}_prompt"
