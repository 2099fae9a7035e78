"""The change feed: what changed, in the order of commit, for everybody who follows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, NewType, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import changes

Topic = Literal[
    "palettes", "prompts", "targets", "batches", "nudges", "responses", "refinements", "budgets"
]
"""`responses` and `refinements` carry the batch id whose rows changed, `targets` and `budgets` the
prompt version, `nudges` the id of a batch of which the provider has news, the others their own key;
`*` means many."""

TOPICS: frozenset[Topic] = frozenset(get_args(Topic))
CHANNEL = "grabient_ops_changes"
"""On PostgreSQL, what to LISTEN to: a commit that has announced something notifies it."""
Mark = NewType("Mark", str)
"""How far a follower has read: a number on SQLite, a snapshot on PostgreSQL."""

_TOPICS_SINCE_SNAPSHOT = sa.text("""
SELECT DISTINCT topic FROM changes
WHERE xid >= pg_snapshot_xmin(CAST(:mark AS pg_snapshot))
  AND NOT pg_visible_in_snapshot(xid, CAST(:mark AS pg_snapshot))""")


class Change(NamedTuple):
    """One entry of the feed."""

    seq: int
    topic: str
    key: str
    at: datetime


def announce(connection: Connection, topic: Topic, keys: Iterable[str], at: datetime) -> None:
    """Write a change; call it in the transaction that makes the change."""
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


def news(connection: Connection, mark: Mark | None) -> tuple[set[Topic], Mark]:
    """Return the topics of everything that this snapshot sees and an earlier one did not.

    Nothing is missed on PostgreSQL either, where transactions commit in any order.

    Args:
        connection: a read transaction.
        mark: as an earlier call has returned it; None when there was none, and all is news.
    """
    if connection.dialect.name == "postgresql":
        now: str = connection.execute(sa.text("SELECT pg_current_snapshot()::text")).scalar_one()
        if mark is None:
            return set(TOPICS), Mark(now)
        return set(connection.execute(_TOPICS_SINCE_SNAPSHOT, {"mark": mark}).scalars()), Mark(now)
    if mark is None:
        return set(TOPICS), Mark(str(latest(connection)))
    newest = sa.func.max(changes.c.seq)
    query = sa.select(changes.c.topic, newest).where(changes.c.seq > int(mark))
    rows = connection.execute(query.group_by(changes.c.topic)).all()
    return {topic for topic, _ in rows}, Mark(str(max((seq for _, seq in rows), default=mark)))
