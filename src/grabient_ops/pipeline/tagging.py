"""Asks for tagging passes: which prompt, which models, which palettes, how many runs."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from grabient_ops.errors import InputError
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Model
from grabient_ops.store.notes import drop_note, get_note, set_note
from grabient_ops.store.palettes import count_palettes
from grabient_ops.store.prompts import PromptVersion, get_prompt, register_prompt
from grabient_ops.store.targets import raise_targets
from grabient_ops.tagging.prompts import prompt_version, tagging_prompt

_CURRENT_PROMPT = "tagging_prompt"


def current_prompt(connection: Connection) -> str:
    """Return the prompt version that new passes use: the operator's choice, or the built-in one."""
    return get_note(connection, _CURRENT_PROMPT) or tagging_prompt().version


def register_builtin(services: Services) -> None:
    """Keep the built-in prompt of this release with its content."""
    builtin = tagging_prompt()
    with services.store.write() as connection:
        row = PromptVersion(
            builtin.version, builtin.kind, builtin.content, builtin.message, services.now()
        )
        register_prompt(connection, row)


def register_prompt_text(
    services: Services, content: str, message: str, *, use: bool
) -> tuple[str, bool]:
    """Keep a tagging prompt; return its version and whether it was new.

    Args:
        services: the parts.
        content: the system prompt, not blank.
        message: one line on what it is about.
        use: make it the prompt of new passes; runs in flight keep theirs.
    """
    if not content.strip():
        raise InputError("the prompt is empty")
    version = prompt_version(content)
    with services.store.write() as connection:
        row = PromptVersion(version, "tagging", content, message, services.now())
        is_new = register_prompt(connection, row)
        if use:
            set_note(connection, _CURRENT_PROMPT, version)
    return version, is_new


def use_prompt(services: Services, version: str) -> str:
    """Make a registered prompt the one of new passes; `builtin` goes back to the release's own."""
    with services.store.write() as connection:
        if version == "builtin":
            drop_note(connection, _CURRENT_PROMPT)
            return tagging_prompt().version
        found = get_prompt(connection, version)
        if found is None:
            raise InputError(f"no prompt version begins with {version!r}, or several do")
        set_note(connection, _CURRENT_PROMPT, found.version)
        return found.version


def request_runs(services: Services, models: Sequence[Model], runs: int, limit: int | None) -> str:
    """Ask for every palette to be tagged so often by each model; return the prompt version.

    Nothing is sent here: the worker plans and submits. Asking twice for the same changes nothing.

    Raises:
        InputError: there are no palettes.
    """
    register_builtin(services)
    with services.store.write() as connection:
        if not count_palettes(connection):
            raise InputError("no palettes yet; `grabient-ops palettes import FILE` brings some")
        version = current_prompt(connection)
        pairs = [(model.provider, model.id) for model in models]
        raise_targets(connection, version, pairs, runs, limit, services.now())
    return version
