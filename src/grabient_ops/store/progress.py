"""How far everything is: counted by query, never kept by hand."""

from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.chunks import chunks
from grabient_ops.store.counting import one_if
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


Run = tuple[str, str, int]
"""Provider, model and run number."""


class Outcome(NamedTuple):
    """How many palettes of one model in one run have an answer, or no attempt left."""

    succeeded: int
    failed: int


def measure_progress(
    connection: Connection, prompt_version: str, max_attempts: int
) -> list[Progress]:
    """Return the progress of every model and run under a prompt version, in a stable order."""
    return join_progress(
        count_expected(connection, prompt_version),
        count_outcomes(connection, prompt_version, max_attempts),
    )


def join_progress(expected: dict[Run, int], outcomes: dict[Run, Outcome]) -> list[Progress]:
    """Return the progress of all that is expected, in a stable order."""
    nothing = Outcome(0, 0)
    return [
        Progress(*key, pairs, *outcomes.get(key, nothing))
        for key, pairs in sorted(expected.items(), key=lambda item: (item[0][2], item[0]))
    ]


def count_expected(connection: Connection, prompt_version: str) -> dict[Run, int]:
    """Return how many palettes each model is to tag in each run that was asked for.

    Pairs that nobody has to go to are counted too.
    """
    columns = (targets.c.provider, targets.c.model, targets.c.target_runs, LAST_RUN)
    query = (
        sa.select(*columns, sa.func.count())
        .join(palettes, palettes.c.seed == targets.c.seed)
        .where(targets.c.prompt_version == prompt_version)
        .group_by(*columns)
    )
    expected: dict[Run, int] = {}
    for provider, model, runs, last_run, pairs in connection.execute(query):
        for run_number in range(1, runs + 1):
            key = (provider, model, run_number)
            expected[key] = expected.get(key, 0) + (pairs if run_number <= last_run else 0)
    return expected


def count_outcomes(
    connection: Connection, prompt_version: str, max_attempts: int, run: Run | None = None
) -> dict[Run, Outcome]:
    """Return what has come of each run, or of one."""
    asked = _outcomes_of_pairs(prompt_version, run).subquery()
    pairs = asked.c
    used_up = sa.or_(pairs.final == 1, pairs.errors >= max_attempts)
    key = (pairs.provider, pairs.model, pairs.run_number)
    failed = one_if(sa.and_(pairs.success == 0, used_up))
    query = sa.select(*key, sa.func.sum(pairs.success), sa.func.sum(failed)).group_by(*key)
    return {
        (provider, model, number): Outcome(int(succeeded), int(failed))
        for provider, model, number, succeeded, failed in connection.execute(query)
    }


def _outcomes_of_pairs(prompt_version: str, run: Run | None) -> sa.Select[Any]:
    """Select what each model has answered about each palette in each run."""
    tags = palette_tags.c
    counted = sa.and_(tags.error_class.is_not(None), tags.excused.is_(False))
    final = sa.and_(counted, tags.error_class.in_(FINAL_ERRORS))
    key = (tags.provider, tags.model, tags.run_number)
    is_wanted = sa.and_(
        targets.c.prompt_version == tags.prompt_version,
        targets.c.provider == tags.provider,
        targets.c.model == tags.model,
        targets.c.seed == tags.seed,
        tags.run_number <= LAST_RUN,
    )
    return (
        sa.select(
            *key,
            sa.func.max(one_if(tags.error_class.is_(None))).label("success"),
            sa.func.max(one_if(final)).label("final"),
            sa.func.sum(one_if(counted)).label("errors"),
        )
        .join(targets, is_wanted)
        .join(palettes, palettes.c.seed == tags.seed)
        .where(tags.prompt_version == prompt_version, *_is_of(run))
        .group_by(*key, tags.seed)
    )


def sum_tokens(
    connection: Connection, prompt_version: str, run: Run | None = None
) -> dict[Run, list[Tokens]]:
    """Return the tokens of each run, or of one, by the model that answered."""
    tags = palette_tags.c
    key = (tags.provider, tags.model, tags.model_returned, tags.run_number)
    counts = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    query = (
        sa.select(*key, *(sa.func.sum(tags[name]) for name in counts))
        .where(tags.prompt_version == prompt_version, *_is_of(run))
        .group_by(*key)
    )
    found: dict[Run, list[Tokens]] = {}
    for provider, model, returned, number, *sums in connection.execute(query):
        tokens = Tokens(provider, model, returned, *map(int, sums))
        found.setdefault((provider, model, number), []).append(tokens)
    return found


def find_runs(
    connection: Connection, prompt_version: str, batch_ids: Collection[str]
) -> set[Run] | None:
    """Return the runs of some batches, as far as they are of a prompt version.

    None when one of the batches is not known, as those of imported answers.
    """
    found: set[Run] = set()
    known = 0
    for chunk in chunks(batch_ids):
        query = sa.select(
            batches.c.provider, batches.c.model, batches.c.run_number, batches.c.prompt_version
        ).where(batches.c.id.in_(chunk))
        for *run, version in connection.execute(query):
            known += 1
            if version == prompt_version:
                found.add((run[0], run[1], run[2]))
    return found if known == len(batch_ids) else None


def _is_of(run: Run | None) -> list[sa.ColumnElement[bool]]:
    tags = palette_tags.c
    columns = (tags.provider, tags.model, tags.run_number)
    return [] if run is None else [a == b for a, b in zip(columns, run, strict=True)]


def count_batches(connection: Connection) -> dict[str, int]:
    """Return how many batches are in each state."""
    query = sa.select(batches.c.state, sa.func.count()).group_by(batches.c.state)
    return dict(connection.execute(query.order_by(batches.c.state)).all())


def count_requests_by_state(connection: Connection) -> dict[str, int]:
    """Return how many requests are in batches of each state."""
    requests = sa.func.sum(batches.c.request_count)
    query = sa.select(batches.c.state, requests).group_by(batches.c.state)
    return {state: int(count) for state, count in connection.execute(query)}
