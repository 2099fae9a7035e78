"""Opens passes: what an operator asks for, with the budget that it is given."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.engine import Connection

from grabient_ops.errors import ConfigError, InputError
from grabient_ops.pipeline.limits import Limit, limit_of_home, limit_of_pass
from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Model
from grabient_ops.store.locks import lock
from grabient_ops.store.passes import (
    Pass,
    find_governing,
    get_pass,
    list_passes,
    moment_of_asking,
    save_pass,
    set_budget,
)
from grabient_ops.store.prompts import require_prompt
from grabient_ops.tagging.kinds import Kind

Budget = int | Literal["keep", "lift"]
"""A new budget in pico-dollars; `keep` what is in force, or `lift` it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A pass as it is asked for.

    Attributes:
        kind: `tagging` or `refinement`.
        prompt_version: under which it is asked.
        models: who is asked.
        words: what else makes it this pass and no other: runs, limit ...
        budget: what it may cost.
    """

    kind: Kind
    prompt_version: str
    models: Sequence[Model]
    words: dict[str, Any]
    budget: Budget

    @property
    def asked(self) -> dict[str, Any]:
        """Everything that was said, budget aside."""
        return {"models": sorted(f"{m.provider}/{m.id}" for m in self.models), **self.words}

    @property
    def pass_id(self) -> str:
        """The same words, in any order, have the same id."""
        return _identify(self.kind, self.prompt_version, self.asked)


def open_pass(services: Services, wish: Wish, estimate: dict[str, Any]) -> list[Limit]:
    """Write a pass down, before anything is asked for; return the limits that it is under.

    Asked for again, the first moment and the first estimate stay, so that repeating a command that
    was killed gives no second allowance.

    Raises:
        ConfigError: a model has no known price, and there is a limit.
    """
    with services.store.write() as connection:
        # Of two budgets that are given at once, the one that is written last is the newer one.
        lock(connection, "spending")
        limits = limits_under(connection, services, wish)
        refuse_unpriced(wish, limits)
        at = moment_of_asking(connection, wish.prompt_version, services.now())
        opened = save_pass(connection, _new_pass(wish, estimate, at))
        if wish.budget != "keep":
            set_budget(connection, opened, _amount(wish.budget), at)
    return limits


def limits_under(connection: Connection, services: Services, wish: Wish) -> list[Limit]:
    """Return the limits that a pass will be under, whether or not it has been opened."""
    governing = find_governing(connection, wish.prompt_version)
    if wish.budget != "keep":
        at = moment_of_asking(connection, wish.prompt_version, services.now())
        known = get_pass(connection, wish.pass_id) or _new_pass(wish, {}, at)
        governing = known._replace(budget=_amount(wish.budget))
    home = limit_of_home(connection, services.standing_budget)
    return [*(limit_of_pass(connection, governing) if governing else []), *home]


def refuse_unpriced(wish: Wish, limits: Sequence[Limit]) -> None:
    """Refuse models that nobody knows the price of, where there is a limit.

    Raises:
        ConfigError: there is such a model.
    """
    unpriced = [f"{model.provider}/{model.id}" for model in wish.models if model.prices is None]
    if unpriced and limits:
        raise ConfigError(
            f"the price of {', '.join(unpriced)} is not known, so there can be no budget; "
            "leave it out, or put the price into models.toml"
        )


def change_budget(services: Services, prompt: str | None, budget: Budget) -> None:
    """Give the newest pass of a prompt version a new budget, or lift it.

    Args:
        services: the parts.
        prompt: a version or its beginning; None for the current tagging prompt.
        budget: what it is to be.

    Raises:
        InputError: nothing has been asked for under such a prompt.
    """
    with services.store.write() as connection:
        lock(connection, "spending")
        version = _version(connection, prompt)
        asked = [item for item in list_passes(connection, version) if "after" not in item.asked]
        found = find_governing(connection, version) or (asked[-1] if asked else None)
        if found is None:
            raise InputError(f"nothing was asked for under prompt {version}")
        root = get_pass(connection, found.asked.get("after", "")) or found
        at = moment_of_asking(connection, root.prompt_version, services.now())
        set_budget(connection, root, _amount(budget), at)


def _version(connection: Connection, prompt: str | None) -> str:
    if prompt is None:
        return current_prompt(connection)
    return require_prompt(connection, prompt).version


def list_limits(services: Services) -> list[tuple[str | None, Limit]]:
    """Return every limit in force with its prompt version; None stands for all of them."""
    with services.store.read() as connection:
        return limits_in_force(connection, services.standing_budget)


def limits_in_force(connection: Connection, standing: int | None) -> list[tuple[str | None, Limit]]:
    """Return every limit as a snapshot shows it, with its prompt version; None means all."""
    versions = sorted({item.prompt_version for item in list_passes(connection)})
    governing = [(version, find_governing(connection, version)) for version in versions]
    limits: list[tuple[str | None, Limit]] = [
        (version, limit)
        for version, found in governing if found
        for limit in limit_of_pass(connection, found)
    ]  # fmt: skip
    return limits + [(None, limit) for limit in limit_of_home(connection, standing)]


def follow_on(connection: Connection, source: str, prompt_version: str, at: datetime) -> None:
    """Pay a refinement that begins by itself from the budget of the tagging that it follows.

    Args:
        connection: the transaction that asks for the refinement.
        source: prompt version of the tagging.
        prompt_version: prompt version of the refinement.
        at: now.
    """
    before = find_governing(connection, source)
    if before is None or before.budget is None:
        return
    asked = {"after": before.id}
    at = moment_of_asking(connection, prompt_version, at)
    pass_id = _identify("refinement", prompt_version, asked)
    save_pass(connection, Pass(pass_id, "refinement", prompt_version, asked, {}, None, at, at, at))


def _new_pass(wish: Wish, estimate: dict[str, Any], at: datetime) -> Pass:
    names = (wish.pass_id, wish.kind, wish.prompt_version)
    return Pass(
        *names, wish.asked, estimate, budget=None, budget_at=None, created_at=at, updated_at=at
    )


def _amount(budget: Budget) -> int | None:
    return budget if isinstance(budget, int) else None


def _identify(kind: str, prompt_version: str, asked: dict[str, Any]) -> str:
    text = json.dumps([kind, prompt_version, asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
