"""Answers and failures, append-only, and the lines that belong to nobody."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.palettes import oldest_seeds
from grabient_ops.store.tables import palette_tags, stray_results
from grabient_ops.store.upsert import insert_new

Row = dict[str, Any]
_REQUEST = [
    palette_tags.c[name] for name in ("prompt_version", "provider", "model", "run_number", "seed")
]


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


def store_responses(connection: Connection, key: dict[str, Any], rows: Sequence[Row]) -> set[str]:
    """Append rows of `palette_tags`; every column must be given.

    Args:
        connection: an open transaction.
        key: provider, model, run number and prompt version that all rows share.
        rows: what to append.

    Returns:
        Seeds whose success was set aside, because another attempt has succeeded before.
    """
    if not rows:
        return set()
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(palette_tags), rows)
    except sa.exc.IntegrityError:
        surplus = answered_before(connection, key, [row["seed"] for row in rows])
        kept = [row for row in rows if row["error_class"] or row["seed"] not in surplus]
        if kept:
            connection.execute(sa.insert(palette_tags), kept)
        return surplus.intersection(row["seed"] for row in rows if not row["error_class"])
    return set()


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
    return dict(connection.execute(query).all())


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


class ErrorGroup(NamedTuple):
    """The failures of one class and model.

    Attributes:
        failures: all of them, later answered or not.
        unanswered: requests that have no answer to this day and whose failure still counts.
    """

    error_class: str
    provider: str
    model: str
    failures: int
    unanswered: int


def group_errors(connection: Connection, **equal: str | int | None) -> list[ErrorGroup]:
    """Count failures by class and model, the most frequent first; `equal` filters by columns."""
    requests = (
        sa.select(
            palette_tags.c.error_class,
            *_REQUEST,
            sa.func.count().label("failures"),
            sa.func.max(sa.case((_still_counts(), 1), else_=0)).label("unanswered"),
        )
        .where(palette_tags.c.error_class.is_not(None), *_matches(equal))
        .group_by(palette_tags.c.error_class, *_REQUEST)
        .subquery()
    )
    group = [requests.c[name] for name in ErrorGroup._fields[:3]]
    failures = sa.func.sum(requests.c.failures)
    query = sa.select(*group, failures, sa.func.sum(requests.c.unanswered))
    rows = connection.execute(query.group_by(*group).order_by(failures.desc(), *group))
    return [ErrorGroup(*row[:3], int(row[3]), int(row[4])) for row in rows]


def excuse_errors(connection: Connection, at: datetime, **equal: str | int | None) -> int:
    """Let failed requests be asked again; return how many requests that are."""
    condition = sa.and_(_still_counts(), *_matches(equal))
    requests = sa.select(*_REQUEST).where(condition).distinct().subquery()
    count = connection.execute(sa.select(sa.func.count()).select_from(requests)).scalar_one()
    connection.execute(sa.update(palette_tags).where(condition).values(excused=True))
    announce(connection, "responses", ["*"], at)
    return count


def _matches(equal: dict[str, str | int | None]) -> list[sa.ColumnElement[bool]]:
    return [palette_tags.c[name] == value for name, value in equal.items() if value is not None]


def _still_counts() -> sa.ColumnElement[bool]:
    """A failure that uses up an attempt of a request without an answer."""
    answered = palette_tags.alias()
    has_success = sa.exists().where(
        answered.c.error_class.is_(None),
        *(answered.c[column.name] == column for column in _REQUEST),
    )
    failed = palette_tags.c.error_class.is_not(None)
    return sa.and_(failed, palette_tags.c.excused.is_(False), ~has_success)


class Reparsable(NamedTuple):
    """What a parser needs, and what it may change."""

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


def count_reparsable(connection: Connection) -> int:
    """Return how many answers hold text."""
    query = sa.select(sa.func.count()).where(palette_tags.c.response.is_not(None))
    return connection.execute(query).scalar_one()


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
    update = (
        sa.update(palette_tags)
        .where(palette_tags.c.id == sa.bindparam("row_id"))
        .values({name: sa.bindparam(f"new_{name}") for name in columns})
    )
    values = [
        {"row_id": row["row_id"], **{f"new_{name}": row[name] for name in columns}} for row in rows
    ]
    if values:
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
