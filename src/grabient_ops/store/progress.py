"""How far everything is: counted by query, never kept by hand."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import batches, palette_tags, palettes, targets
from grabient_ops.store.targets import FINAL_ERRORS, LAST_RUN


class Progress(NamedTuple):
    """One model in one run of one prompt version, in (palette, model) pairs.

    `succeeded + failed + pending = expected`; failed means that no attempt is left.
    """

    provider: str
    model: str
    run_number: int
    expected: int
    succeeded: int
    failed: int

    @property
    def pending(self) -> int:
        """Pairs that are not asked yet, in flight, or due for another attempt."""
        return self.expected - self.succeeded - self.failed


class Tokens(NamedTuple):
    """Tokens of all answers of one model, failed attempts included."""

    provider: str
    model: str
    model_returned: str | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int


def measure_progress(
    connection: Connection, prompt_version: str, max_attempts: int
) -> list[Progress]:
    """Return the progress of every model and run under a prompt version, in a stable order."""
    expected = _expected(connection, prompt_version)
    counted = _outcomes(connection, prompt_version, max_attempts)
    return [
        Progress(*key, expected=pairs, succeeded=counted.get(key, (0, 0))[0],
                 failed=counted.get(key, (0, 0))[1])
        for key, pairs in sorted(expected.items(), key=lambda item: (item[0][2], item[0]))
    ]  # fmt: skip


def _expected(connection: Connection, prompt_version: str) -> dict[tuple[str, str, int], int]:
    """Count the pairs of every run that was asked for, those too that nobody has to go to."""
    columns = (targets.c.provider, targets.c.model, targets.c.target_runs, LAST_RUN)
    query = (
        sa.select(*columns, sa.func.count())
        .join(palettes, palettes.c.seed == targets.c.seed)
        .where(targets.c.prompt_version == prompt_version)
        .group_by(*columns)
    )
    expected: dict[tuple[str, str, int], int] = {}
    for provider, model, runs, last_run, pairs in connection.execute(query):
        for run_number in range(1, runs + 1):
            key = (provider, model, run_number)
            expected[key] = expected.get(key, 0) + (pairs if run_number <= last_run else 0)
    return expected


def _outcomes(
    connection: Connection, prompt_version: str, max_attempts: int
) -> dict[tuple[str, str, int], tuple[int, int]]:
    tags = palette_tags.c
    counted = sa.and_(tags.error_class.is_not(None), tags.excused.is_(False))
    key = (tags.provider, tags.model, tags.run_number)
    pairs = (
        sa.select(
            *key,
            sa.func.max(sa.case((tags.error_class.is_(None), 1), else_=0)).label("success"),
            sa.func.max(
                sa.case((sa.and_(counted, tags.error_class.in_(FINAL_ERRORS)), 1), else_=0)
            ).label("final"),
            sa.func.sum(sa.case((counted, 1), else_=0)).label("errors"),
        )
        .join(
            targets,
            sa.and_(
                targets.c.prompt_version == tags.prompt_version,
                targets.c.provider == tags.provider,
                targets.c.model == tags.model,
                targets.c.seed == tags.seed,
                tags.run_number <= LAST_RUN,
            ),
        )
        .join(palettes, palettes.c.seed == tags.seed)
        .where(tags.prompt_version == prompt_version)
        .group_by(*key, tags.seed)
        .subquery()
    )
    used_up = sa.or_(pairs.c.final == 1, pairs.c.errors >= max_attempts)
    query = sa.select(
        pairs.c.provider,
        pairs.c.model,
        pairs.c.run_number,
        sa.func.sum(pairs.c.success),
        sa.func.sum(sa.case((sa.and_(pairs.c.success == 0, used_up), 1), else_=0)),
    ).group_by(pairs.c.provider, pairs.c.model, pairs.c.run_number)
    return {
        (provider, model, run): (succeeded, failed)
        for provider, model, run, succeeded, failed in connection.execute(query)
    }


def sum_tokens(connection: Connection, prompt_version: str | None = None) -> list[Tokens]:
    """Return the tokens by model, of one prompt version or of all."""
    tags = palette_tags.c
    key = (tags.provider, tags.model, tags.model_returned)
    counts = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    query = sa.select(*key, *(sa.func.sum(tags[name]) for name in counts)).group_by(*key)
    if prompt_version is not None:
        query = query.where(tags.prompt_version == prompt_version)
    return [Tokens(*row[:3], *(int(n) for n in row[3:])) for row in connection.execute(query)]


def count_batches(connection: Connection) -> dict[str, int]:
    """Return how many batches are in each state."""
    query = sa.select(batches.c.state, sa.func.count()).group_by(batches.c.state)
    return dict(connection.execute(query.order_by(batches.c.state)).all())


def count_requests_by_stage(connection: Connection) -> dict[str, int]:
    """Return how many requests are in batches of each state."""
    requests = sa.func.sum(batches.c.request_count)
    query = sa.select(batches.c.state, requests).group_by(batches.c.state)
    return {state: int(count) for state, count in connection.execute(query)}
