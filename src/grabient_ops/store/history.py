"""Pages of batches for people who look back: filtered, the newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.batches import Batch
from grabient_ops.store.counting import one_if
from grabient_ops.store.tables import batches, requests


class BatchFilter(NamedTuple):
    """Which batches are looked for; what is empty means all.

    Attributes:
        kind: `tagging` or `refinement`.
        since: not those reserved before this moment.
        until: only those reserved before this moment.
    """

    kind: str = ""
    states: Sequence[str] = ()
    provider: str = ""
    model: str = ""
    prompt_version: str = ""
    since: datetime | None = None
    until: datetime | None = None


class BatchPage(NamedTuple):
    """Some batches, newest first.

    Attributes:
        has_newer, has_older: whether there are others on either side.
    """

    batches: list[Batch]
    has_newer: bool
    has_older: bool


def browse_batches(
    connection: Connection,
    limit: int,
    wanted: BatchFilter,
    *,
    older_than: str = "",
    newer_than: str = "",
) -> BatchPage:
    """Return a page of batches.

    Args:
        connection: a snapshot.
        limit: at most so many.
        wanted: which ones.
        older_than: only those that come after the batch with this id.
        newer_than: only those that come before it, and of these the oldest; `older_than` is not
            looked at then.
    """
    query = sa.select(batches).where(*_conditions(wanted)).limit(limit + 1)
    moment, batch_id = batches.c.created_at, batches.c.id
    mark = _moment_of(connection, newer_than or older_than)
    if newer_than and mark:
        is_newer = sa.or_(moment > mark, sa.and_(moment == mark, batch_id < newer_than))
        rows = connection.execute(query.where(is_newer).order_by(moment, batch_id.desc())).all()
        found = [Batch(*row) for row in rows[:limit]][::-1]
        return BatchPage(found, has_newer=len(rows) > limit, has_older=True)
    if older_than and mark:
        is_older = sa.or_(moment < mark, sa.and_(moment == mark, batch_id > older_than))
        query = query.where(is_older)
    rows = connection.execute(query.order_by(moment.desc(), batch_id)).all()
    found = [Batch(*row) for row in rows[:limit]]
    return BatchPage(found, has_newer=bool(older_than and mark), has_older=len(rows) > limit)


class Outcomes(NamedTuple):
    """How many requests of a batch have ended well, and how many otherwise."""

    succeeded: int = 0
    failed: int = 0


def count_outcomes(connection: Connection, batch_ids: Sequence[str]) -> dict[str, Outcomes]:
    """Count the requests of a few batches that have ended, by batch id."""
    state = requests.c.state
    is_success = one_if(state == "succeeded")
    is_failure = one_if(state.in_(("failed", "missing")))
    query = (
        sa.select(requests.c.batch_id, sa.func.sum(is_success), sa.func.sum(is_failure))
        .where(requests.c.batch_id.in_(batch_ids))
        .group_by(requests.c.batch_id)
    )
    found = {batch_id: Outcomes(int(a), int(b)) for batch_id, a, b in connection.execute(query)}
    return {batch_id: found.get(batch_id, Outcomes()) for batch_id in batch_ids}


def list_asked_models(connection: Connection) -> list[tuple[str, str]]:
    """Return the (provider, model) pairs that have ever had a batch."""
    pairs = (batches.c.provider, batches.c.model)
    query = sa.select(*pairs).distinct().order_by(*pairs)
    return [(provider, model) for provider, model in connection.execute(query)]


def _moment_of(connection: Connection, batch_id: str) -> datetime | None:
    query = sa.select(batches.c.created_at).where(batches.c.id == batch_id)
    found: datetime | None = connection.execute(query).scalar()
    return found


def _conditions(wanted: BatchFilter) -> list[sa.ColumnElement[bool]]:
    equal: dict[str, Any] = {
        name: getattr(wanted, name) for name in ("kind", "provider", "model", "prompt_version")
    }
    conditions = [batches.c[name] == value for name, value in equal.items() if value]
    if wanted.states:
        conditions.append(batches.c.state.in_(wanted.states))
    if wanted.since:
        conditions.append(batches.c.created_at >= wanted.since)
    if wanted.until:
        conditions.append(batches.c.created_at < wanted.until)
    return conditions
