"""How far tagging is, for those who keep looking: only runs with new answers are counted again."""

from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.status import describe_models
from grabient_ops.store.changes import Mark, changed_keys, news
from grabient_ops.store.progress import (
    Outcome,
    Progress,
    Run,
    Tokens,
    count_expected,
    count_outcomes,
    find_runs,
    join_progress,
    sum_tokens,
)


class Score(NamedTuple):
    """How far tagging is under the current prompt version.

    Attributes:
        progress: by model and run.
        models: by model, with tokens and cost, as in `status --json`.
    """

    progress: list[Progress]
    models: list[dict[str, Any]]


class Scoreboard:
    """Remembers what it has counted; for one reader after the other, each with a later snapshot."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._version = ""
        self._mark: Mark | None = None
        self._expected: dict[Run, int] = {}
        self._outcomes: dict[Run, Outcome] = {}
        self._tokens: dict[Run, list[Tokens]] = {}

    def look(self, connection: Connection) -> Score:
        """Return how far everything is in this snapshot."""
        version = current_prompt(connection)
        runs, mark = self._changed_runs(connection, version)
        if runs is None:
            self._count_all(connection, version)
        else:
            for run in runs:
                self._count(connection, run)
        self._version, self._mark = version, mark
        progress = join_progress(self._expected, self._outcomes)
        tokens = list(chain(*self._tokens.values()))
        return Score(progress, describe_models(progress, tokens, self._services.catalog))

    def _changed_runs(self, connection: Connection, version: str) -> tuple[set[Run] | None, Mark]:
        """Return the runs that must be counted again; None for all."""
        before = self._mark
        topics, mark = news(connection, before)
        if before is None or version != self._version or topics & {"palettes", "targets"}:
            return None, mark
        if "responses" not in topics:
            return set(), mark
        keys = changed_keys(connection, before, "responses")
        return (None if "*" in keys else find_runs(connection, version, keys)), mark

    def _count_all(self, connection: Connection, version: str) -> None:
        attempts = self._services.policy.max_attempts
        self._mark = None  # what is half counted must be counted again
        self._expected = count_expected(connection, version)
        self._outcomes = count_outcomes(connection, version, attempts)
        self._tokens = sum_tokens(connection, version)

    def _count(self, connection: Connection, run: Run) -> None:
        attempts = self._services.policy.max_attempts
        outcomes = count_outcomes(connection, self._version, attempts, run)
        tokens = sum_tokens(connection, self._version, run)
        self._outcomes[run] = outcomes.get(run, Outcome(0, 0))
        self._tokens[run] = tokens.get(run, [])
