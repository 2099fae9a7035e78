"""The gate before every submission: what might cross a limit on spending is not sent.

A batch passes in one transaction that reserves the most it may cost. When it ends, what it has
cost takes the place of the reservation (`store.spending.settle_cost`), so that spent plus reserved
never exceeds a limit, whatever crashes in between.
"""

from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy.engine import Connection

from grabient_ops.pipeline.bounds import bound_of_batch
from grabient_ops.pipeline.limits import Limit, dollars, limits_on
from grabient_ops.pipeline.services import Services
from grabient_ops.store.batches import WORKING_STATES, Batch, list_batches, load_batch, update_batch
from grabient_ops.store.locks import lock
from grabient_ops.store.spending import reserve_cost

log = structlog.get_logger(__name__)
UNDECIDED = ("reserved", "over_budget")
"""States of a batch that has not passed yet."""


class Room(NamedTuple):
    """How many requests of a batch may go now, and why not all of them."""

    requests: int
    reason: str = ""


def admit(services: Services, batch_id: str) -> bool:
    """Whether the workflow of a batch may start; if not, the batch waits as `over_budget`.

    A batch that has passed keeps its reservation and passes again, after a crash too. One that is
    to be cancelled passes, because nothing of it will be sent.
    """
    with services.store.read() as connection:
        batch = load_batch(connection, batch_id)
        if _is_decided(batch):
            return True
        bound = bound_of_batch(services, connection, batch)
    with services.store.write() as connection:
        lock(connection, "spending")
        batch = load_batch(connection, batch_id)
        if _is_decided(batch):
            return True
        limits = limits_on(connection, batch.prompt_version, services.standing_budget)
        room = measure_room(limits, bound, batch.request_count)
        if room.requests:
            reserve_cost(connection, batch, bound, room.requests, services.now())
        elif (batch.state, batch.error) != ("over_budget", room.reason):
            update_batch(
                connection, batch_id, services.now(), state="over_budget", error=room.reason
            )
    return room.requests > 0


def _is_decided(batch: Batch) -> bool:
    return batch.state not in UNDECIDED or batch.cancel_requested_at is not None


def measure_room(limits: Sequence[Limit], bound: int | None, wanted: int) -> Room:
    """Return how many of so many requests fit under all limits.

    Less than all go only when nothing is in flight whose settlement could make room for more.

    Args:
        limits: what they must fit under.
        bound: the most that one of them may cost, in pico-dollars; None when nobody knows.
        wanted: how many there are.
    """
    if not limits:
        return Room(wanted)
    if bound is None:
        reason = f"no price is known for the model, and there is {limits[0].name}"
        return Room(0, f"{reason}; put the price into models.toml, or lift the budget")
    tight = [limit for limit in limits if max(limit.left, 0) < bound * wanted]
    if not tight:
        return Room(wanted)
    tightest = min(tight, key=lambda limit: limit.left)
    fitting = max(0, tightest.left // bound)
    if fitting and not any(limit.spending.in_flight for limit in tight):
        return Room(fitting)
    each = f"one more request may cost {dollars(bound)}"
    return Room(0, f"{tightest.describe()}, and {each}; {tightest.advice}")


def explain_standstill(connection: Connection) -> str | None:
    """Return why nothing goes on, in one sentence; None unless only the budget is in the way."""
    working = list_batches(connection, states=WORKING_STATES)
    if not working or any(batch.state != "over_budget" for batch in working):
        return None
    left = sum(batch.request_count for batch in working)
    return f"over budget, {left:,} requests wait: {working[-1].error}"
