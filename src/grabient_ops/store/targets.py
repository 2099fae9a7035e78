"""Targets: which palette is to be tagged how often by which model, and what is still unanswered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.counting import count_of
from grabient_ops.store.palettes import oldest_seeds
from grabient_ops.store.tables import (
    answers_of,
    palette_tags,
    palettes,
    prompt_versions,
    requests,
    targets,
)
from grabient_ops.store.upsert import insert_of
from grabient_ops.tagging.outcome import ErrorClass

FINAL_ERRORS = tuple(str(kind) for kind in ErrorClass if not kind.retryable)

LAST_RUN = sa.case(
    (targets.c.settled_after < targets.c.target_runs, targets.c.settled_after),
    else_=targets.c.target_runs,
)
"""The last run in which a target is asked: an adaptive pass may settle a palette before."""


class ModelTarget(NamedTuple):
    """One model under one prompt version that has palettes to tag, or to refine."""

    prompt_version: str
    provider: str
    model: str
    target_runs: int
    kind: str = "tagging"


class Unanswered(NamedTuple):
    """A palette that may be asked (again) in a run.

    Attributes:
        attempt: the number that the next attempt has, from 1.
        options: of a refinement, as `raise_refinement_targets` has stored them.
    """

    seed: str
    attempt: int
    options: dict[str, Any] | None = None


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


def raise_refinement_targets(
    connection: Connection,
    target: ModelTarget,
    seeds: Sequence[str],
    options: dict[str, Any],
    at: datetime,
) -> None:
    """Ask for palettes to be refined so often by a model; what was asked before changes nothing.

    Args:
        connection: an open transaction.
        target: refinement prompt version, provider, model and the number of runs.
        seeds: the palettes.
        options: what a batch must know to ask: `sources`, `pictures`.
        at: now.
    """
    same = dict(zip(("prompt_version", "provider", "model", "target_runs"), target, strict=False))
    rows = [{**same, "seed": seed, "options": options} for seed in seeds]
    if not rows:
        return
    insert = insert_of(connection, targets)
    more = {"target_runs": insert.excluded.target_runs, "options": insert.excluded.options}
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=list(targets.primary_key),
            set_=more,
            where=targets.c.target_runs < insert.excluded.target_runs,
        ),
        rows,
    )
    announce(connection, "targets", [target.prompt_version], at)


def list_model_targets(connection: Connection) -> list[ModelTarget]:
    """Return every model that has targets, with the highest number of runs asked for."""
    columns = (targets.c.prompt_version, targets.c.provider, targets.c.model)
    kind = sa.func.coalesce(sa.func.max(prompt_versions.c.kind), "tagging")
    query = (
        sa.select(*columns, sa.func.max(targets.c.target_runs), kind)
        .outerjoin(prompt_versions, prompt_versions.c.version == targets.c.prompt_version)
        .group_by(*columns)
        .order_by(*columns)
    )
    return [ModelTarget(*row) for row in connection.execute(query)]


def list_unanswered(
    connection: Connection,
    target: ModelTarget,
    run_number: int,
    max_attempts: int,
    limit: int | None,
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
    askable = (
        _wanted(answers, target, run_number)
        .with_only_columns(targets.c.seed, attempt)
        .where(targets.c.seed.not_in(in_flight))
        .having(_is_askable(answers, max_attempts))
        .order_by(attempt, targets.c.seed)
        .limit(limit)
    )
    if target.kind == "tagging":
        return [Unanswered(*row) for row in connection.execute(askable)]
    found = askable.subquery()
    # JSON cannot be grouped by, so the options are looked up afterwards.
    with_options = (
        sa.select(found, targets.c.options)
        .join(targets, targets.c.seed == found.c.seed)
        .where(_same_model(targets, *target[:3]))
        .order_by(found.c.attempt, found.c.seed)
    )
    return [Unanswered(*row) for row in connection.execute(with_options)]


def run_is_pending(
    connection: Connection, target: ModelTarget, run_number: int, max_attempts: int
) -> bool:
    """Whether some palette of this model has neither an answer nor a final failure in a run."""
    answers = _answers_of(target, run_number)
    query = _wanted(answers, target, run_number).having(_is_askable(answers, max_attempts))
    return connection.execute(query.limit(1)).first() is not None


def list_pending(
    connection: Connection, attempts_of: Callable[[str], int]
) -> Iterator[ModelTarget]:
    """Yield every model of which some run is pending.

    Args:
        connection: open as long as it is read from.
        attempts_of: the tries per request and run of a kind of prompt.
    """
    for target in list_model_targets(connection):
        attempts = attempts_of(target.kind)
        runs = range(1, target.target_runs + 1)
        if any(run_is_pending(connection, target, run, attempts) for run in runs):
            yield target


def count_responses(connection: Connection, prompt_versions: Sequence[str]) -> dict[str, int]:
    """Return how many answers every stored palette has under some prompt versions, if any."""
    tags = palette_tags.c
    query = (
        sa.select(tags.seed, sa.func.count())
        .join(palettes, palettes.c.seed == tags.seed)
        .where(tags.prompt_version.in_(prompt_versions), tags.error_class.is_(None))
        .group_by(tags.seed)
    )
    return dict(connection.execute(query).all())


def _wanted(answers: sa.Subquery, target: ModelTarget, run_number: int) -> sa.Select[Any]:
    """Return the stored palettes that a model is to be asked about in a run, with their answers."""
    return (
        sa.select(targets.c.seed)
        .join(palettes, palettes.c.seed == targets.c.seed)
        .outerjoin(answers, answers.c.seed == targets.c.seed)
        .where(_same_model(targets, *target[:3]), run_number <= LAST_RUN)
        .group_by(targets.c.seed)
    )


def _answers_of(target: ModelTarget, run_number: int) -> sa.Subquery:
    answers = answers_of(target.kind)
    names = ("seed", "attempt", "error_class", "excused")
    return (
        sa.select(*(answers.c[name] for name in names))
        .where(_same_model(answers, *target[:3]), answers.c.run_number == run_number)
        .subquery()
    )


def _is_askable(answers: sa.Subquery, max_attempts: int) -> sa.ColumnElement[bool]:
    has_row = answers.c.attempt.is_not(None)
    error = answers.c.error_class
    counted_error = sa.and_(has_row, error.is_not(None), answers.c.excused.is_(False))

    return sa.and_(
        count_of(sa.and_(has_row, error.is_(None))) == 0,
        count_of(sa.and_(counted_error, error.in_(FINAL_ERRORS))) == 0,
        count_of(counted_error) < max_attempts,
    )


def _same_model(
    table: sa.Table, prompt_version: str, provider: str, model: str
) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.prompt_version == prompt_version,
        table.c.provider == provider,
        table.c.model == model,
    )
