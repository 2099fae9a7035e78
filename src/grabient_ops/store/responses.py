"""Answers and failures, append-only, and the lines that belong to nobody."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
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


class StoredError(NamedTuple):
    """One stored failure of one request."""

    id: int
    seed: str
    provider: str
    model: str
    run_number: int
    prompt_version: str
    attempt: int
    batch_id: str
    error_class: str
    error: str | None
    response: str | None
    excused: bool
    created_at: datetime


def store_responses(connection: Connection, rows: Sequence[Row]) -> None:
    """Append rows of `palette_tags`; every column must be given.

    Raises:
        sqlalchemy.exc.IntegrityError: a success is there already; see `answered_before`.
    """
    if rows:
        connection.execute(sa.insert(palette_tags), rows)


def answered_before(connection: Connection, key: dict[str, Any], seeds: Sequence[str]) -> set[str]:
    """Return those of the seeds that have a success under a (model, run, prompt version)."""
    answered: set[str] = set()
    for start in range(0, len(seeds), 500):
        query = (
            sa.select(palette_tags.c.seed)
            .filter_by(**key)
            .where(
                palette_tags.c.seed.in_(seeds[start : start + 500]),
                palette_tags.c.error_class.is_(None),
            )
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
    return dict(connection.execute(query).tuples().all())


def list_errors(
    connection: Connection, *, limit: int | None, after: int = 0, **equal: str | int | None
) -> list[StoredError]:
    """Return failures in the order of their ids, after an id; `equal` filters by columns."""
    columns = [palette_tags.c[name] for name in StoredError._fields]
    wanted = {name: value for name, value in equal.items() if value is not None}
    query = (
        sa.select(*columns)
        .where(palette_tags.c.error_class.is_not(None), palette_tags.c.id > after)
        .filter_by(**wanted)
        .order_by(palette_tags.c.id)
        .limit(limit)
    )
    return [StoredError(*row) for row in connection.execute(query)]


def excuse_errors(connection: Connection, at: datetime, **equal: str | int | None) -> int:
    """Let the failed requests be asked again; return how many failures no longer count."""
    wanted = {name: value for name, value in equal.items() if value is not None}
    answered = palette_tags.alias()
    has_success = sa.exists().where(
        answered.c.error_class.is_(None),
        *(
            answered.c[name] == palette_tags.c[name]
            for name in ("prompt_version", "provider", "model", "run_number", "seed")
        ),
    )
    changed = connection.execute(
        sa.update(palette_tags)
        .where(palette_tags.c.error_class.is_not(None), palette_tags.c.excused.is_(False))
        .where(*(palette_tags.c[name] == value for name, value in wanted.items()), ~has_success)
        .values(excused=True)
    )
    announce(connection, "responses", ["*"], at)
    return changed.rowcount


class Reparsable(NamedTuple):
    """What a parser needs, and what it may change."""

    id: int
    response: str
    finish_reason: str | None
    tags: dict[str, Any] | None
    error_class: str | None
    batch_id: str


def iterate_responses(connection: Connection, page: int = 2000) -> Iterator[list[Reparsable]]:
    """Yield all answers that hold text, in pages, in the order of their ids."""
    columns = [palette_tags.c[name] for name in Reparsable._fields]
    last = 0
    while True:
        query = (
            sa.select(*columns)
            .where(palette_tags.c.response.is_not(None), palette_tags.c.id > last)
            .order_by(palette_tags.c.id)
            .limit(page)
        )
        rows = [Reparsable(*row) for row in connection.execute(query)]
        if not rows:
            return
        last = rows[-1].id
        yield rows


def update_parsed(connection: Connection, rows: Sequence[Row]) -> None:
    """Write what a newer parser made of stored answers; each row holds `row_id` and the columns."""
    columns = ("tags", "error_class", "error", "parse_stage", "parser_version", "ambiguous")
    connection.execute(
        sa.update(palette_tags)
        .where(palette_tags.c.id == sa.bindparam("row_id"))
        .values({name: sa.bindparam(f"new_{name}") for name in columns}),
        [
            {"row_id": row["row_id"], **{f"new_{name}": row[name] for name in columns}}
            for row in rows
        ],
    )


def count_successes(
    connection: Connection, key: dict[str, Any], seeds: Sequence[str], runs: int
) -> int:
    """Return how many answers a (model, prompt version) has for palettes in runs 1 to `runs`."""
    count = 0
    for start in range(0, len(seeds), 500):
        query = sa.select(sa.func.count()).select_from(palette_tags).filter_by(**key)
        count += connection.execute(
            query.where(
                palette_tags.c.seed.in_(seeds[start : start + 500]),
                palette_tags.c.run_number <= runs,
                palette_tags.c.error_class.is_(None),
            )
        ).scalar_one()
    return count
