"""Palettes: the seeds that are to be tagged."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.chunks import chunks
from grabient_ops.store.tables import palettes, targets
from grabient_ops.store.upsert import insert_new


class NewPalette(NamedTuple):
    """A valid palette on its way into the store."""

    seed: str
    format: str
    coeff_key: str
    source: str


class StoredPalette(NamedTuple):
    """A palette as it is stored.

    Attributes:
        attributes: by source, what was said there beside the seed.
    """

    seed: str
    format: str
    coeff_key: str
    image_key: str | None
    source: str
    created_at: datetime
    attributes: dict[str, Any] | None = None


def add_palettes(connection: Connection, rows: Sequence[NewPalette], at: datetime) -> int:
    """Add the palettes that are not there yet; return how many were new."""
    values = [{**row._asdict(), "created_at": at} for row in rows]
    added = insert_new(connection, palettes, values)
    if added:
        announce(connection, "palettes", ["*"], at)
    return added


def remove_palettes(connection: Connection, seeds: Iterable[str], at: datetime) -> int:
    """Remove palettes and what was still planned for them; answers already paid for stay."""
    removed = 0
    for chunk in chunks(seeds):
        connection.execute(sa.delete(targets).where(targets.c.seed.in_(chunk)))
        removed += connection.execute(
            sa.delete(palettes).where(palettes.c.seed.in_(chunk))
        ).rowcount
        announce(connection, "palettes", chunk, at)
    return removed


def count_palettes(connection: Connection) -> int:
    """Return how many palettes there are."""
    return connection.execute(sa.select(sa.func.count()).select_from(palettes)).scalar_one()


def list_palettes(
    connection: Connection, limit: int | None = None, after: str = ""
) -> list[StoredPalette]:
    """Return palettes in the order of their seeds, `after` excluded."""
    query = sa.select(palettes).where(palettes.c.seed > after).order_by(palettes.c.seed)
    return [StoredPalette(*row) for row in connection.execute(query.limit(limit))]


def get_palette(connection: Connection, seed: str) -> StoredPalette | None:
    """Return the palette with exactly this seed."""
    row = connection.execute(sa.select(palettes).where(palettes.c.seed == seed)).first()
    return None if row is None else StoredPalette(*row)


def oldest_seeds(limit: int | None = None) -> sa.Select[str]:
    """Return the query for seeds, oldest palette first."""
    return sa.select(palettes.c.seed).order_by(palettes.c.created_at, palettes.c.seed).limit(limit)


def first_seeds(connection: Connection, limit: int | None = None) -> list[str]:
    """Return seeds, oldest palette first."""
    return list(connection.execute(oldest_seeds(limit)).scalars())


def seeds_without_image(connection: Connection) -> set[str]:
    """Return the palettes that no picture is known of."""
    query = sa.select(palettes.c.seed).where(palettes.c.image_key.is_(None))
    return set(connection.execute(query).scalars())


def set_image_keys(connection: Connection, keys: Mapping[str, str], at: datetime) -> None:
    """Note where the pictures of palettes are; call it when they are there."""
    rows = [{"its_seed": seed, "its_key": key} for seed, key in keys.items()]
    query = sa.update(palettes).where(palettes.c.seed == sa.bindparam("its_seed"))
    connection.execute(query.values(image_key=sa.bindparam("its_key")), rows)
    announce(connection, "palettes", ["*"], at)


def known_seeds(connection: Connection, seeds: Iterable[str]) -> set[str]:
    """Return those of the seeds that are stored."""
    known: set[str] = set()
    for chunk in chunks(seeds):
        query = sa.select(palettes.c.seed).where(palettes.c.seed.in_(chunk))
        known.update(connection.execute(query).scalars())
    return known
