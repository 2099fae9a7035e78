"""Targets: which palette is to be tagged how often by which model, and what is still unanswered."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.palettes import oldest_seeds
from grabient_ops.store.tables import palette_tags, palettes, requests, targets
from grabient_ops.store.upsert import insert_of
from grabient_ops.tagging.outcome import ErrorClass

FINAL_ERRORS = tuple(str(kind) for kind in ErrorClass if not kind.retryable)


class ModelTarget(NamedTuple):
    """One model under one prompt version that has palettes to tag."""

    prompt_version: str
    provider: str
    model: str
    target_runs: int


class Unanswered(NamedTuple):
    """A palette that may be asked (again) in a run."""

    seed: str
    attempt: int
    """The number that the next attempt has, from 1."""


def raise_targets(
    connection: Connection,
    prompt_version: str,
    models: Iterable[tuple[str, str]],
    runs: int,
    limit: int | None,
    at: datetime,
) -> None:
    """Set the number of runs of every (model, palette) pair to at least `runs`.

    Args:
        connection: an open transaction.
        prompt_version: the version that will be sent.
        models: (provider, model) pairs.
        runs: at least 1.
        limit: only so many palettes, oldest first; None for all.
        at: now.
    """
    columns = [*(column.name for column in targets.primary_key), "target_runs"]
    seeds = oldest_seeds(limit).subquery()
    for provider, model in models:
        fixed = (sa.literal(prompt_version), sa.literal(provider), sa.literal(model))
        # SQLite takes ON CONFLICT after a SELECT for a join condition unless there is a WHERE.
        pairs = sa.select(*fixed, seeds.c.seed, sa.literal(runs)).where(sa.true())
        insert = insert_of(connection, targets).from_select(columns, pairs)
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=list(targets.primary_key),
                set_={"target_runs": insert.excluded.target_runs},
                where=targets.c.target_runs < insert.excluded.target_runs,
            )
        )
    announce(connection, "targets", [prompt_version], at)


def list_model_targets(connection: Connection) -> list[ModelTarget]:
    """Return every model that has targets, with the highest number of runs asked for."""
    columns = (targets.c.prompt_version, targets.c.provider, targets.c.model)
    query = sa.select(*columns, sa.func.max(targets.c.target_runs)).group_by(*columns)
    return [ModelTarget(*row) for row in connection.execute(query.order_by(*columns))]


def list_unanswered(
    connection: Connection, target: ModelTarget, run_number: int, max_attempts: int, limit: int
) -> list[Unanswered]:
    """Return palettes that may be asked (again) in a run, first attempts first.

    They have no answer of this model, attempts left, and no open request.
    """
    answers = _answers_of(target, run_number)
    in_flight = (
        sa.select(requests.c.seed)
        .where(_same_model(requests, *target[:3]), requests.c.run_number == run_number)
        .where(requests.c.state == "open")
    )
    attempt = (sa.func.coalesce(sa.func.max(answers.c.attempt), 0) + 1).label("attempt")
    query = (
        sa.select(targets.c.seed, attempt)
        .join(palettes, palettes.c.seed == targets.c.seed)
        .outerjoin(answers, answers.c.seed == targets.c.seed)
        .where(_same_model(targets, *target[:3]), targets.c.target_runs >= run_number)
        .where(targets.c.seed.not_in(in_flight))
        .group_by(targets.c.seed)
        .having(_is_askable(answers, max_attempts))
        .order_by(attempt, targets.c.seed)
        .limit(limit)
    )
    return [Unanswered(*row) for row in connection.execute(query)]


def run_is_pending(
    connection: Connection, target: ModelTarget, run_number: int, max_attempts: int
) -> bool:
    """Whether some palette of this model has neither an answer nor a final failure in a run."""
    answers = _answers_of(target, run_number)
    query = (
        sa.select(targets.c.seed)
        .join(palettes, palettes.c.seed == targets.c.seed)
        .outerjoin(answers, answers.c.seed == targets.c.seed)
        .where(_same_model(targets, *target[:3]), targets.c.target_runs >= run_number)
        .group_by(targets.c.seed)
        .having(_is_askable(answers, max_attempts))
        .limit(1)
    )
    return connection.execute(query).first() is not None


def _answers_of(target: ModelTarget, run_number: int) -> sa.Subquery:
    return (
        sa.select(
            palette_tags.c.seed,
            palette_tags.c.attempt,
            palette_tags.c.error_class,
            palette_tags.c.excused,
        )
        .where(_same_model(palette_tags, *target[:3]), palette_tags.c.run_number == run_number)
        .subquery()
    )


def _is_askable(answers: sa.Subquery, max_attempts: int) -> sa.ColumnElement[bool]:
    has_row = answers.c.attempt.is_not(None)
    error = answers.c.error_class
    counted_error = sa.and_(has_row, error.is_not(None), answers.c.excused.is_(False))

    def number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    return sa.and_(
        number_of(sa.and_(has_row, error.is_(None))) == 0,
        number_of(sa.and_(counted_error, error.in_(FINAL_ERRORS))) == 0,
        number_of(counted_error) < max_attempts,
    )


def _same_model(
    table: sa.Table, prompt_version: str, provider: str, model: str
) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.prompt_version == prompt_version,
        table.c.provider == provider,
        table.c.model == model,
    )
