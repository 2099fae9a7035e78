"""The change feed: what changed, in the order of commit, for everybody who follows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, NewType, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.bell import CHANNEL
from grabient_ops.store.tables import changes

Topic = Literal[
    "palettes", "prompts", "targets", "batches", "nudges", "responses", "refinements", "budgets"
]
"""`responses` and `refinements` carry the batch id whose rows changed, `targets` and `budgets` the
prompt version, `nudges` the id of a batch of which the provider has news, the others their own key;
`*` means many."""

TOPICS: frozenset[Topic] = frozenset(get_args(Topic))
Mark = NewType("Mark", str)
"""How far a follower has read: a number on SQLite, a snapshot on PostgreSQL."""

_SINCE_SNAPSHOT = sa.text("""
xid >= pg_snapshot_xmin(CAST(:mark AS pg_snapshot))
AND NOT pg_visible_in_snapshot(xid, CAST(:mark AS pg_snapshot))""")

_KEYS_SINCE_SNAPSHOT = sa.text("""
SELECT DISTINCT key FROM changes
WHERE xid >= pg_snapshot_xmin(CAST(:mark AS pg_snapshot))
  AND NOT pg_visible_in_snapshot(xid, CAST(:mark AS pg_snapshot)) AND topic = :topic""")


class Change(NamedTuple):
    """One entry of the feed."""

    seq: int
    topic: str
    key: str
    at: datetime


def announce(connection: Connection, topic: Topic, keys: Iterable[str], at: datetime) -> None:
    """Write a change; call it in the transaction that makes the change.

    On PostgreSQL its commit rings every bell (`grabient_ops.bell`).
    """
    rows = [{"topic": topic, "key": key, "at": at} for key in keys]
    if rows:
        connection.execute(sa.insert(changes), rows)
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))


def latest(connection: Connection) -> int:
    """Return the newest sequence number, 0 when nothing has ever changed."""
    newest: int | None = connection.execute(sa.select(sa.func.max(changes.c.seq))).scalar()
    return newest or 0


def since(connection: Connection, seq: int, limit: int = 1000) -> list[Change]:
    """Return the changes after `seq`, oldest first."""
    query = sa.select(changes).where(changes.c.seq > seq).order_by(changes.c.seq).limit(limit)
    return [Change(*row) for row in connection.execute(query)]


def mark_now(connection: Connection) -> Mark:
    """Return the mark of a follower that has read all that this snapshot sees."""
    if connection.dialect.name == "postgresql":
        now: str = connection.execute(sa.text("SELECT pg_current_snapshot()::text")).scalar_one()
        return Mark(now)
    return Mark(str(latest(connection)))


def follow(connection: Connection, mark: Mark) -> tuple[list[Change], Mark]:
    """Return everything that this snapshot sees and an earlier one did not, and the next mark.

    Nothing is missed on PostgreSQL either, where transactions commit in any order.

    Args:
        connection: a read transaction.
        mark: as an earlier call has returned it, or `mark_now`.
    """
    query = sa.select(changes).where(_is_new(connection, mark)).order_by(changes.c.seq)
    found = [Change(*row) for row in connection.execute(query)]
    if connection.dialect.name == "postgresql":
        return found, mark_now(connection)
    return found, Mark(str(found[-1].seq)) if found else mark


def changed_keys(connection: Connection, mark: Mark, topic: Topic) -> set[str]:
    """Return the keys of a topic that this snapshot sees and an earlier one did not."""
    if connection.dialect.name == "postgresql":
        rows = connection.execute(_KEYS_SINCE_SNAPSHOT, {"mark": mark, "topic": topic})
        return set(rows.scalars())
    query = sa.select(changes.c.key).where(changes.c.seq > int(mark), changes.c.topic == topic)
    return set(connection.execute(query.distinct()).scalars())


def news(connection: Connection, mark: Mark | None) -> tuple[set[Topic], Mark]:
    """Return the topics of what `follow` would return; of everything when there is no mark."""
    if mark is None:
        return set(TOPICS), mark_now(connection)
    query = sa.select(changes.c.topic).where(_is_new(connection, mark)).distinct()
    topics = set(connection.execute(query).scalars())
    return topics, mark_now(connection) if topics else mark


def _is_new(connection: Connection, mark: Mark) -> sa.ColumnElement[bool] | sa.TextClause:
    if connection.dialect.name == "postgresql":
        return _SINCE_SNAPSHOT.bindparams(mark=mark)
    return changes.c.seq > int(mark)
