"""Which palettes an adaptive pass leaves out of further runs: `targets.settled_after`."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.chunks import chunks
from grabient_ops.store.palettes import oldest_seeds
from grabient_ops.store.tables import palette_tags, requests, targets
from grabient_ops.store.targets import LAST_RUN

Models = Sequence[tuple[str, str]]
"""(provider, model) pairs, as one palette's consensus is made by."""


def list_unsettled(
    connection: Connection, prompt_version: str, models: Models, run_number: int
) -> list[str]:
    """Return the palettes that were answered in a run, and of whose next one nothing is asked yet.

    Args:
        connection: an open transaction.
        prompt_version: whose targets.
        models: only these take part.
        run_number: the run that has ended.
    """

    def seeds(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> set[str]:
        same = (table.c.prompt_version == prompt_version, _is_of(table, models))
        query = sa.select(table.c.seed).where(*same, *conditions).distinct()
        return set(connection.execute(query).scalars())

    # Plain scans: as one query, PostgreSQL makes a loop in a loop of them.
    tags, asked, next_run = palette_tags.c, requests.c, run_number + 1
    wanted = seeds(targets, targets.c.target_runs > run_number, targets.c.settled_after.is_(None))
    answered = seeds(palette_tags, tags.run_number == run_number, tags.error_class.is_(None))
    begun = seeds(palette_tags, tags.run_number == next_run)
    begun |= seeds(requests, asked.run_number == next_run, asked.state == "open")
    return sorted((wanted & answered) - begun)


def settle(
    connection: Connection,
    prompt_version: str,
    models: Models,
    seeds: Sequence[str],
    run_number: int,
    at: datetime,
) -> None:
    """Leave palettes out of all runs after one; what was settled before stays as it is."""
    for provider, model in models:
        for chunk in chunks(seeds):
            connection.execute(
                sa.update(targets)
                .where(targets.c.prompt_version == prompt_version)
                .where(targets.c.provider == provider, targets.c.model == model)
                .where(targets.c.seed.in_(chunk))
                .where(targets.c.settled_after.is_(None), targets.c.target_runs > run_number)
                .values(settled_after=run_number)
            )
    announce(connection, "targets", [prompt_version], at)


def unsettle(
    connection: Connection,
    prompt_version: str,
    models: Models,
    runs: int | None = None,
    limit: int | None = None,
) -> None:
    """Let settled palettes be asked again.

    Args:
        connection: an open transaction.
        prompt_version: whose targets.
        models: only these.
        runs: only where there were fewer, and no further than to so many; None for all there are.
        limit: only so many palettes, oldest first; None for all.
    """
    change = (
        sa.update(targets)
        .where(targets.c.prompt_version == prompt_version, _is_of(targets, models))
        .where(targets.c.seed.in_(oldest_seeds(limit)))
    )
    if runs is None:
        change = change.where(targets.c.settled_after.is_not(None)).values(settled_after=None)
    else:
        so_far = sa.case((targets.c.target_runs > runs, runs))
        change = change.where(targets.c.settled_after < runs).values(settled_after=so_far)
    connection.execute(change)


def count_saved(connection: Connection, prompt_version: str) -> int:
    """Return how many first attempts are not made because palettes were settled."""
    query = sa.select(sa.func.sum(targets.c.target_runs - LAST_RUN))
    saved: int | None = connection.execute(
        query.where(targets.c.prompt_version == prompt_version)
    ).scalar()
    return saved or 0


def _is_of(table: sa.Table, models: Models) -> sa.ColumnElement[bool]:
    return sa.tuple_(table.c.provider, table.c.model).in_(models)
