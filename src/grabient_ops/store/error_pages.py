"""Pages of failures for people who look through them: filtered, the newest first, texts cut."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import answers_of
from grabient_ops.tagging.outcome import ErrorClass

EXCERPT = 2000
"""How many characters of a text are shown."""


class ErrorExcerpt(NamedTuple):
    """A failure at a glance: texts are cut, for one may be a hundred thousand characters long.

    Attributes:
        error, response: the beginning.
        error_length, response_length: of the whole, in characters.
    """

    id: int
    seed: str
    provider: str
    model: str
    run_number: int
    prompt_version: str
    attempt: int
    batch_id: str
    error_class: str
    finish_reason: str | None
    excused: bool
    created_at: datetime
    error: str
    error_length: int
    response: str
    response_length: int


class ErrorPage(NamedTuple):
    """Some failures, newest first.

    Attributes:
        has_newer, has_older: whether there are others on either side.
    """

    errors: list[ErrorExcerpt]
    has_newer: bool
    has_older: bool


def browse_errors(
    connection: Connection,
    kind: str,
    limit: int,
    *,
    older_than: int | None = None,
    newer_than: int | None = None,
    **equal: str | int | None,
) -> ErrorPage:
    """Return a page of failures of a stage.

    Args:
        connection: a snapshot.
        kind: the stage.
        limit: at most so many.
        older_than: only those with a smaller id.
        newer_than: only those with a greater id, and of these the oldest; `older_than` is not
            looked at then.
        equal: filters by columns.
    """
    answers = answers_of(kind)
    conditions = [answers.c[name] == value for name, value in equal.items() if value is not None]
    if newer_than is not None:
        newest_last = answers.c.id.asc()
        conditions.append(answers.c.id > newer_than)
        found = _walk(connection, answers, conditions, newest_last, limit + 1)
        page = sorted(found, key=_id_of)[:limit][::-1]
        return ErrorPage(page, has_newer=len(found) > limit, has_older=True)
    if older_than is not None:
        conditions.append(answers.c.id < older_than)
    found = _walk(connection, answers, conditions, answers.c.id.desc(), limit + 1)
    page = sorted(found, key=_id_of, reverse=True)[:limit]
    return ErrorPage(page, has_newer=older_than is not None, has_older=len(found) > limit)


def _id_of(error: ErrorExcerpt) -> int:
    return error.id


def _walk(
    connection: Connection,
    answers: sa.Table,
    conditions: Sequence[sa.ColumnElement[bool]],
    order: sa.ColumnElement[Any],
    limit: int,
) -> list[ErrorExcerpt]:
    """Walk along the index of failures, class by class, and not along all answers."""
    texts = [
        column
        for name in ("error", "response")
        for text in [sa.func.coalesce(answers.c[name], "")]
        for column in (sa.func.substr(text, 1, EXCERPT), sa.func.length(text))
    ]
    columns = [answers.c[name] for name in ErrorExcerpt._fields[: -len(texts)]]
    by_class = [
        sa.select(
            sa.select(*columns, *(text.label(f"text_{n}") for n, text in enumerate(texts)))
            .where(answers.c.error_class == error_class, *conditions)
            .order_by(order)
            .limit(limit)
            .subquery()
        )
        for error_class in ErrorClass
    ]
    return [ErrorExcerpt(*row) for row in connection.execute(sa.union_all(*by_class))]
