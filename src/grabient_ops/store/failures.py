"""Failures of both stages: listed, counted, and excused so that they are asked again."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.counting import one_if
from grabient_ops.store.tables import answers_of

_REQUEST = ("prompt_version", "provider", "model", "run_number", "seed")


class StoredError(NamedTuple):
    """One stored failure of one request; the ids of the two stages are apart."""

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


def list_errors(
    connection: Connection,
    kind: str = "tagging",
    *,
    limit: int | None,
    after: int = 0,
    **equal: str | int | None,
) -> list[StoredError]:
    """Return failures of a stage in the order of their ids, after an id.

    `equal` filters by columns.
    """
    answers = answers_of(kind)
    columns = [answers.c[name] for name in StoredError._fields]
    wanted = {name: value for name, value in equal.items() if value is not None}
    query = (
        sa.select(*columns)
        .where(answers.c.error_class.is_not(None), answers.c.id > after)
        .filter_by(**wanted)
        .order_by(answers.c.id)
        .limit(limit)
    )
    return [StoredError(*row) for row in connection.execute(query)]


def load_error(connection: Connection, kind: str, error_id: int) -> StoredError | None:
    """Return one failure of a stage, with its whole texts."""
    answers = answers_of(kind)
    columns = [answers.c[name] for name in StoredError._fields]
    query = sa.select(*columns).where(answers.c.id == error_id, answers.c.error_class.is_not(None))
    row = connection.execute(query).first()
    return None if row is None else StoredError(*row)


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


def group_errors(
    connection: Connection, kind: str = "tagging", **equal: str | int | None
) -> list[ErrorGroup]:
    """Count failures of a stage by class and model, the most frequent first.

    `equal` filters by columns.
    """
    answers = answers_of(kind)
    request = [answers.c[name] for name in _REQUEST]
    requests = (
        sa.select(
            answers.c.error_class,
            *request,
            sa.func.count().label("failures"),
            sa.func.max(one_if(_still_counts(answers))).label("unanswered"),
        )
        .where(answers.c.error_class.is_not(None), *_matches(answers, equal))
        .group_by(answers.c.error_class, *request)
        .subquery()
    )
    group = [requests.c[name] for name in ErrorGroup._fields[:3]]
    failures = sa.func.sum(requests.c.failures)
    query = sa.select(*group, failures, sa.func.sum(requests.c.unanswered))
    rows = connection.execute(query.group_by(*group).order_by(failures.desc(), *group))
    return [ErrorGroup(*row[:3], int(row[3]), int(row[4])) for row in rows]


def excuse_errors(
    connection: Connection, at: datetime, kind: str = "tagging", **equal: str | int | None
) -> int:
    """Let failed requests of a stage be asked again; return how many requests that are."""
    answers = answers_of(kind)
    condition = sa.and_(_still_counts(answers), *_matches(answers, equal))
    request = [answers.c[name] for name in _REQUEST]
    requests = sa.select(*request).where(condition).distinct().subquery()
    count = connection.execute(sa.select(sa.func.count()).select_from(requests)).scalar_one()
    connection.execute(sa.update(answers).where(condition).values(excused=True))
    announce(connection, "refinements" if kind == "refinement" else "responses", ["*"], at)
    return count


def _matches(answers: sa.Table, equal: dict[str, str | int | None]) -> list[sa.ColumnElement[bool]]:
    return [answers.c[name] == value for name, value in equal.items() if value is not None]


def _still_counts(answers: sa.Table) -> sa.ColumnElement[bool]:
    """A failure that uses up an attempt of a request without an answer."""
    answered = answers.alias()
    has_success = sa.exists().where(
        answered.c.error_class.is_(None),
        *(answered.c[name] == answers.c[name] for name in _REQUEST),
    )
    failed = answers.c.error_class.is_not(None)
    return sa.and_(failed, answers.c.excused.is_(False), ~has_success)
