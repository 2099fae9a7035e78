"""Tells whoever follows a worker that nothing goes on any more, and why."""

from typing import NamedTuple

from grabient_ops.pipeline.budget import explain_standstill
from grabient_ops.pipeline.runs import Block, Planner
from grabient_ops.pipeline.services import Services
from grabient_ops.store.batches import WORKING_STATES, list_batches

_LASTS_S = 6.0
"""The worker that plans looks at least every five seconds whether it can go on."""


class Standstill(NamedTuple):
    """Nothing is in flight and nothing more can be planned now.

    Attributes:
        blocked: models that still have work, and why they get none.
        over_budget: why the rest waits, where only a budget is in the way.
    """

    blocked: dict[tuple[str, str], Block]
    over_budget: str | None = None


class Onlooker:
    """Sees from the store alone what a worker that plans finds out by planning."""

    def __init__(self, services: Services, planner: Planner) -> None:
        self._services = services
        self._planner = planner
        self._since: float | None = None

    def look(self) -> Standstill | None:
        """Return the standstill, once the worker that plans has planned since it began."""
        standstill = self._find()
        if standstill is None:
            self._since = None
            return None
        now = self._services.elapsed()
        if self._since is None:
            self._since = now
        return standstill if now - self._since > _LASTS_S else None

    def _find(self) -> Standstill | None:
        with self._services.store.read() as connection:
            over_budget = explain_standstill(connection)
            is_at_work = bool(list_batches(connection, states=WORKING_STATES, limit=1))
        if is_at_work and over_budget is None:
            return None
        pending = self._planner.survey()
        blocked = {name: block for name, block in pending if block}
        if not all(block.is_futile for block in blocked.values()):
            return None
        # What is left beside the blocked waits for money, or is about to be planned.
        goes_on = not pending or any(block is None for _, block in pending)
        return None if goes_on and over_budget is None else Standstill(blocked, over_budget)
