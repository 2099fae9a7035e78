"""Answers and failures, append-only, and the lines that belong to nobody."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.chunks import chunks
from grabient_ops.store.palettes import oldest_seeds
from grabient_ops.store.tables import palette_tags, stray_results
from grabient_ops.store.upsert import insert_new

Row = dict[str, Any]


class StrayLine(NamedTuple):
    """A line of a result file that is no answer to an open request."""

    batch_id: str
    file: str
    line: int
    kind: str
    reason: str
    raw: bytes


def append_responses(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Append answers and failures of which none is known to be surplus; every column must be given.

    Raises:
        IntegrityError: one is; the transaction is to be given up, and `store_responses` to be used.
    """
    if rows:
        connection.execute(sa.insert(table), rows)


def store_responses(
    connection: Connection, table: sa.Table, key: dict[str, Any], rows: Sequence[Row]
) -> set[str]:
    """Append answers and failures, successes that are surplus excepted; every column must be given.

    Args:
        connection: an open transaction.
        table: `palette_tags` or `palette_tag_refined`.
        key: provider, model, run number and prompt version that all rows share.
        rows: what to append.

    Returns:
        Seeds whose success was set aside, because another attempt has succeeded before.
    """
    if not rows:
        return set()
    try:
        with connection.begin_nested():
            append_responses(connection, table, rows)
    except sa.exc.IntegrityError:
        surplus = answered_before(connection, table, key, [row["seed"] for row in rows])
        kept = [row for row in rows if row["error_class"] or row["seed"] not in surplus]
        append_responses(connection, table, kept)
        return surplus.intersection(row["seed"] for row in rows if not row["error_class"])
    return set()


def answered_before(
    connection: Connection, table: sa.Table, key: dict[str, Any], seeds: Sequence[str]
) -> set[str]:
    """Return those of the seeds that have a success under a (model, run, prompt version)."""
    answered: set[str] = set()
    for chunk in chunks(seeds):
        query = (
            sa.select(table.c.seed)
            .filter_by(**key)
            .where(table.c.seed.in_(chunk), table.c.error_class.is_(None))
        )
        answered.update(connection.execute(query).scalars())
    return answered


def store_strays(connection: Connection, lines: Sequence[StrayLine], at: datetime) -> None:
    """Keep lines; one that is kept already is left as it is."""
    insert_new(connection, stray_results, [{**line._asdict(), "created_at": at} for line in lines])


def count_strays(connection: Connection, batch_id: str | None = None) -> dict[str, int]:
    """Return how many lines of each kind were kept, of one batch or of all."""
    query = sa.select(stray_results.c.kind, sa.func.count()).group_by(stray_results.c.kind)
    if batch_id is not None:
        query = query.where(stray_results.c.batch_id == batch_id)
    return dict(connection.execute(query).all())


class Reparsable(NamedTuple):
    """What a parser needs, and what it may change; a tagging answer has no `embed_text`."""

    id: int
    response: str
    finish_reason: str | None
    tags: dict[str, Any] | None
    error_class: str | None
    batch_id: str
    seed: str
    provider: str
    model: str
    run_number: int
    prompt_version: str
    embed_text: str | None


def count_reparsable(connection: Connection, table: sa.Table) -> int:
    """Return how many answers of a stage's table hold text that a model of ours wrote."""
    query = sa.select(sa.func.count()).where(*_is_reparsable(table))
    return connection.execute(query).scalar_one()


def iterate_responses(
    connection: Connection, table: sa.Table, page: int = 2000
) -> Iterator[list[Reparsable]]:
    """Yield the answers that `count_reparsable` counts, in pages, in the order of their ids."""
    columns = [table.c.get(name, sa.null()) for name in Reparsable._fields]
    last = 0
    while True:
        query = (
            sa.select(*columns)
            .where(*_is_reparsable(table), table.c.id > last)
            .order_by(table.c.id)
            .limit(page)
        )
        rows = [Reparsable(*row) for row in connection.execute(query)]
        if not rows:
            return
        last = rows[-1].id
        yield rows


def _is_reparsable(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    """What other systems kept is what they had made of an answer, not the answer."""
    return table.c.response.is_not(None), table.c.source == "own"


def update_parsed(connection: Connection, table: sa.Table, rows: dict[int, Row]) -> None:
    """Write what a newer parser made of stored answers: its columns, by the answers' ids."""
    if not rows:
        return
    columns = next(iter(rows.values())).keys()
    update = (
        sa.update(table)
        .where(table.c.id == sa.bindparam("row_id"))
        .values({name: sa.bindparam(f"new_{name}") for name in columns})
    )
    values = [
        {"row_id": row_id, **{f"new_{name}": value for name, value in row.items()}}
        for row_id, row in rows.items()
    ]
    connection.execute(update, values)


def count_successes(
    connection: Connection, key: dict[str, Any], runs: int, limit: int | None
) -> int:
    """Return how many answers a (model, prompt version) has in runs 1 to `runs`.

    Only answers for stored palettes count; with `limit`, for so many of them, oldest first.
    """
    seeds = oldest_seeds(limit).subquery()
    query = sa.select(sa.func.count()).select_from(palette_tags).filter_by(**key)
    return connection.execute(
        query.join(seeds, seeds.c.seed == palette_tags.c.seed).where(
            palette_tags.c.run_number <= runs, palette_tags.c.error_class.is_(None)
        )
    ).scalar_one()
