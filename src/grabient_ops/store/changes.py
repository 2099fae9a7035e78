"""The change feed: what changed, in the order of commit, for everybody who follows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import changes

Topic = Literal["palettes", "prompts", "targets", "batches", "responses", "refinements", "budgets"]
"""`responses` and `refinements` carry the batch id whose rows changed, `targets` and `budgets` the
prompt version, the others their own key; `*` means many."""


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


def latest(connection: Connection) -> int:
    """Return the newest sequence number, 0 when nothing has ever changed."""
    newest: int | None = connection.execute(sa.select(sa.func.max(changes.c.seq))).scalar()
    return newest or 0


def since(connection: Connection, seq: int, limit: int = 1000) -> list[Change]:
    """Return the changes after `seq`, oldest first."""
    query = sa.select(changes).where(changes.c.seq > seq).order_by(changes.c.seq).limit(limit)
    return [Change(*row) for row in connection.execute(query)]
