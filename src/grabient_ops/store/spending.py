"""What batches have cost and may still cost, summed by query; amounts in pico-dollars."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.batches import OPEN_STATES, Batch, update_batch
from grabient_ops.store.changes import announce
from grabient_ops.store.counting import one_if
from grabient_ops.store.tables import answers_of, batches, requests, stray_results


class Since(NamedTuple):
    """The batches of a prompt version that were not yet sent at a moment."""

    prompt_version: str
    moment: datetime


class Spending(NamedTuple):
    """What some batches cost.

    Attributes:
        settled: sum of their answers.
        reserved: most that they may cost beyond that.
        in_flight: whether some of it will be settled yet, probably to less.
    """

    settled: int
    reserved: int
    in_flight: bool

    @property
    def committed(self) -> int:
        """The most that is spent when everything in flight has ended."""
        return self.settled + self.reserved


def measure_spending(connection: Connection, scope: Sequence[Since] | None = None) -> Spending:
    """Return what batches of a scope cost; None means all that there are."""
    in_flight = sa.and_(batches.c.state.in_(OPEN_STATES), batches.c.reserved_cost > 0)
    query = sa.select(
        sa.func.sum(batches.c.settled_cost),
        sa.func.sum(batches.c.reserved_cost),
        sa.func.max(one_if(in_flight)),
    )
    if scope is not None:
        query = query.where(sa.or_(sa.false(), *map(_belongs, scope)))
    settled, reserved, flies = connection.execute(query).one()
    return Spending(int(settled or 0), int(reserved or 0), bool(flies))


def _belongs(since: Since) -> sa.ColumnElement[bool]:
    sent_at = batches.c.submit_started_at
    is_later = sa.or_(sent_at.is_(None), sent_at >= since.moment)
    return sa.and_(batches.c.prompt_version == since.prompt_version, is_later)


def reserve_cost(
    connection: Connection, batch: Batch, bound: int | None, count: int, at: datetime
) -> None:
    """Let a batch go with its first `count` requests; the others become free to be planned."""
    connection.execute(
        sa.update(requests)
        .where(requests.c.batch_id == batch.id, requests.c.position >= count)
        .values(state="released")
    )
    update_batch(
        connection, batch.id, at,
        state="submitting", request_count=count, request_bound=bound,
        reserved_cost=(bound or 0) * count, error=None,
    )  # fmt: skip


def settle_cost(connection: Connection, batch: Batch, at: datetime, *, may_be_billed: bool) -> None:
    """Replace the reservation of an ended batch by what its answers cost.

    What stays reserved is the bound of each request that may have been billed although we have no
    answer with a cost: its line was torn or lacked the usage, or its answer was set aside because
    another batch had one before.

    Args:
        connection: the transaction that ends the batch.
        batch: as it was before.
        at: now.
        may_be_billed: whether requests of which no line says anything may have been billed.
    """
    answers = answers_of(batch.kind)
    cost = sa.select(sa.func.sum(answers.c.cost)).where(answers.c.batch_id == batch.id)
    settled = connection.execute(cost).scalar()
    unsaid = _count_unsaid(connection, batch.id)
    if not may_be_billed:
        unsaid = min(unsaid, _count_homeless(connection, batch.id))
    unknown = unsaid + _count_uncounted(connection, batch, answers)
    update_batch(
        connection, batch.id, at,
        settled_cost=int(settled or 0), reserved_cost=(batch.request_bound or 0) * unknown,
    )  # fmt: skip
    announce(connection, "budgets", [batch.prompt_version], at)


def _count_unsaid(connection: Connection, batch_id: str) -> int:
    query = sa.select(sa.func.count()).select_from(requests)
    return connection.execute(
        query.where(requests.c.batch_id == batch_id, requests.c.state == "missing")
    ).scalar_one()


def _count_homeless(connection: Connection, batch_id: str) -> int:
    """Count lines that may be answers to requests of which no other line says anything."""
    query = sa.select(sa.func.count()).select_from(stray_results)
    is_answer = stray_results.c.kind.in_(("unreadable", "late"))
    return connection.execute(
        query.where(stray_results.c.batch_id == batch_id, is_answer)
    ).scalar_one()


def _count_uncounted(connection: Connection, batch: Batch, answers: sa.Table) -> int:
    """Count requests that had a line of their own, whose cost is nevertheless in no row."""
    same_request = sa.and_(
        *(answers.c[name] == value for name, value in batch.same().items()),
        answers.c.seed == requests.c.seed,
        answers.c.attempt == requests.c.attempt,
        answers.c.batch_id == batch.id,
    )
    has_no_usage = sa.and_(answers.c.response.is_not(None), answers.c.input_tokens == 0)
    query = (
        sa.select(sa.func.count())
        .select_from(requests.outerjoin(answers, same_request))
        .where(requests.c.batch_id == batch.id, requests.c.state.in_(("succeeded", "failed")))
        .where(sa.or_(answers.c.id.is_(None), has_no_usage))
    )
    return connection.execute(query).scalar_one()
