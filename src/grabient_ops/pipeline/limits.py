"""The limits on spending that are in force: budgets of passes, and the one of the home."""

from typing import NamedTuple

from sqlalchemy.engine import Connection

from grabient_ops.store.passes import Pass, find_governing, get_pass, list_followers
from grabient_ops.store.spending import Since, Spending, measure_spending

PICO = 10**12
_SMALL = PICO // 100


class Limit(NamedTuple):
    """One cap, and how much of it is used up; amounts in pico-dollars.

    Attributes:
        name: whose it is, as the operator knows it.
        advice: how to raise it.
    """

    name: str
    cap: int
    spending: Spending
    advice: str

    @property
    def left(self) -> int:
        """What may still be reserved; negative when the cap was lowered below what is used."""
        return self.cap - self.spending.committed

    def describe(self) -> str:
        """Return how much is used up, for people."""
        used = f"{dollars(self.spending.settled)} spent"
        if self.spending.reserved:
            used += f" and {dollars(self.spending.reserved)} reserved"
        return f"{used} of {self.name} of {dollars(self.cap)}"


def limits_on(connection: Connection, prompt_version: str, standing: int | None) -> list[Limit]:
    """Return what a batch under a prompt version must fit under."""
    limits = []
    governing = find_governing(connection, prompt_version)
    if governing is not None:
        limits += limit_of_pass(connection, governing)
    return limits + limit_of_home(connection, standing)


def limit_of_pass(connection: Connection, governing: Pass) -> list[Limit]:
    """Return the budget of a pass, or of the one that it follows; nothing without one."""
    root = get_pass(connection, governing.asked.get("after", "")) or governing
    if root.budget is None:
        return []
    family = [root, *list_followers(connection, root.id)]
    scope = [Since(item.prompt_version, item.created_at) for item in family]
    spending = measure_spending(connection, scope)
    advice = "a higher `--budget` raises it, `--no-budget` lifts it"
    return [Limit("the budget", root.budget, spending, advice)]


def limit_of_home(connection: Connection, standing: int | None) -> list[Limit]:
    """Return the standing budget, which counts everything that this home has ever bought."""
    if standing is None:
        return []
    advice = "a higher GRABIENT_OPS_BUDGET_USD raises it at the worker's next start"
    return [Limit("the home's budget", standing, measure_spending(connection), advice)]


def to_pico(usd: float) -> int:
    """Return an amount in pico-dollars."""
    return round(usd * PICO)


def dollars(pico: int) -> str:
    """Return an amount for people: four decimals, or six where that would show next to nothing."""
    return f"${pico / PICO:,.{6 if 0 < abs(pico) < _SMALL else 4}f}"
