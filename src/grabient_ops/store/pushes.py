"""The ledger of refinements that are given back to Convex: written before anything is sent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.chunks import chunks
from grabient_ops.store.tables import palette_tag_refined, pushes
from grabient_ops.store.upsert import insert_new


def unpushed(connection: Connection, mutation: str, after: int, limit: int) -> list[dict[str, Any]]:
    """Return refinements of ours that are not known to be there, by id.

    Args:
        connection: any.
        mutation: what takes them.
        after: id of the last one that was looked at; 0 to begin.
        limit: how many at most.
    """
    table = palette_tag_refined
    is_there = (
        sa.select(sa.literal(1))
        .where(pushes.c.refinement_id == table.c.id, pushes.c.mutation == mutation)
        .where(pushes.c.pushed_at.is_not(None))
    )
    query = (
        sa.select(table)
        .where(table.c.source == "own", table.c.error_class.is_(None), table.c.id > after)
        .where(~is_there.exists())
        .order_by(table.c.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def reserve(connection: Connection, mutation: str, keys: dict[str, int]) -> None:
    """Note refinements, by their keys, that are about to be sent."""
    rows = [
        {"key": key, "mutation": mutation, "refinement_id": number, "pushed_at": None}
        for key, number in keys.items()
    ]
    insert_new(connection, pushes, rows)


def confirm(connection: Connection, mutation: str, keys: Sequence[str], at: datetime) -> None:
    """Note that refinements are there."""
    mine = sa.and_(pushes.c.mutation == mutation, pushes.c.key.in_(keys))
    connection.execute(sa.update(pushes).where(mine).values(pushed_at=at))


def known_keys(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Return those of some keys that are ours."""
    known: set[str] = set()
    for chunk in chunks(keys):
        query = sa.select(pushes.c.key).where(pushes.c.key.in_(chunk))
        known.update(connection.execute(query).scalars())
    return known
