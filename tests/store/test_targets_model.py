"""What may be asked, and how far everything is, against a model of ten lines of Python."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from grabient_ops.store.engine import open_store
from grabient_ops.store.progress import Progress, measure_progress
from grabient_ops.store.tables import palette_tags, palettes, requests, targets
from grabient_ops.store.targets import (
    ModelTarget,
    Unanswered,
    list_model_targets,
    list_unanswered,
    run_is_pending,
)
from grabient_ops.tagging.outcome import ErrorClass

if TYPE_CHECKING:
    from tests.store.conftest import Shelf

SEEDS = ("a", "b", "c")
MODELS = (("groq", "small"), ("openai", "small"))
VERSIONS = ("p1", "p2")
RUNS = (1, 2)
FINAL = {"invalid_request", "canceled", "refused"}

Pair = tuple[str, tuple[str, str], str]
"""(prompt version, model, seed)."""


@dataclass(frozen=True)
class Try:
    """One stored attempt; no error is a success."""

    error_class: str | None
    excused: bool


@dataclass(frozen=True)
class World:
    """All that the store knows; a pair that is open has a request on its way in that run.

    A pair that is settled goes no further than to that run.
    """

    stored: frozenset[str]
    wanted: dict[Pair, int]
    tries: dict[tuple[Pair, int], list[Try]]
    open: set[tuple[Pair, int]]
    settled: dict[Pair, int]

    def last_run(self, pair: Pair) -> int:
        wanted = self.wanted.get(pair, 0)
        return min(wanted, self.settled.get(pair, wanted))

    def is_wanted(self, version: str, model: tuple[str, str], run: int) -> bool:
        """Whether the run was asked for, be it that everybody has settled before."""
        pairs = [(version, model, seed) for seed in self.stored]
        return any(self.wanted.get(pair, 0) >= run for pair in pairs)

    def is_answered(self, pair: Pair, run: int) -> bool:
        return any(t.error_class is None for t in self.tries.get((pair, run), []))

    def is_used_up(self, pair: Pair, run: int, max_attempts: int) -> bool:
        """Whether it has failed for good: a final error, or no attempt left."""
        errors = [
            t.error_class
            for t in self.tries.get((pair, run), [])
            if t.error_class and not t.excused
        ]
        given_up = len(errors) >= max_attempts or bool(FINAL.intersection(errors))
        return given_up and not self.is_answered(pair, run)

    def pairs(self, version: str, model: tuple[str, str], run: int) -> list[Pair]:
        every = [(version, model, seed) for seed in SEEDS if seed in self.stored]
        return [pair for pair in every if self.last_run(pair) >= run]

    def due(self, version: str, model: tuple[str, str], run: int, most: int) -> list[Pair]:
        return [
            pair
            for pair in self.pairs(version, model, run)
            if not self.is_answered(pair, run) and not self.is_used_up(pair, run, most)
        ]


_failed = st.builds(Try, st.sampled_from([str(kind) for kind in ErrorClass]), st.booleans())
_pairs = st.sampled_from(list(product(VERSIONS, MODELS, SEEDS)))
_in_run = st.tuples(_pairs, st.sampled_from(RUNS))
_answer = st.lists(st.just(Try(None, excused=False)), max_size=1)
_history = st.builds(
    lambda before, answer, after: before + answer + after,
    st.lists(_failed, max_size=3), _answer, st.lists(_failed, max_size=1),
)  # fmt: skip
_worlds = st.builds(
    World,
    stored=st.frozensets(st.sampled_from(SEEDS), min_size=1),
    wanted=st.dictionaries(_pairs, st.sampled_from(RUNS), min_size=1),
    tries=st.dictionaries(_in_run, _history, max_size=12),
    open=st.sets(_in_run, max_size=4),
    settled=st.dictionaries(_pairs, st.sampled_from(RUNS), max_size=6),
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory, shelf_of: "type[Shelf]") -> Iterator["Shelf"]:
    """A store for many examples; each is rolled back."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('scratch') / 'store.sqlite'}")
    yield shelf_of(store)
    store.close()


@contextmanager
def _holding(scratch: "Shelf", world: World) -> Iterator[Connection]:
    with scratch.store.write() as connection:
        for table, rows in _rows(scratch, world).items():
            if rows:
                connection.execute(sa.insert(table), rows)
        yield connection
        connection.rollback()


def _rows(scratch: "Shelf", world: World) -> dict[sa.Table, list[dict[str, Any]]]:
    palette = {"format": "f", "source": "test", "created_at": scratch.now}
    request = {"batch_id": "b", "attempt": 1, "state": "open"}
    return {
        palettes: [{"seed": seed, "coeff_key": seed, **palette} for seed in world.stored],
        targets: [
            {**_key(pair), "target_runs": runs, "settled_after": world.settled.get(pair)}
            for pair, runs in world.wanted.items()
        ],
        palette_tags: [
            scratch.row(**_key(pair), run_number=run, attempt=number, **asdict(item))
            for (pair, run), tries in world.tries.items()
            for number, item in enumerate(tries, start=1)
        ],
        requests: [
            {"position": position, "run_number": run, **_key(pair), **request}
            for position, (pair, run) in enumerate(world.open)
        ],
    }


def _key(pair: Pair) -> dict[str, str]:
    version, (provider, model), seed = pair
    return {"prompt_version": version, "provider": provider, "model": model, "seed": seed}


@settings(max_examples=80, deadline=None)
@given(world=_worlds, max_attempts=st.integers(1, 4), limit=st.integers(0, 4))
def test_what_may_be_asked_is_what_a_plain_model_says(
    scratch: "Shelf", world: World, max_attempts: int, limit: int
) -> None:
    with _holding(scratch, world) as connection:
        for version, model, run in product(VERSIONS, MODELS, RUNS):
            target = ModelTarget(version, *model, 2)
            due = world.due(version, model, run, max_attempts)
            idle = [pair for pair in due if (pair, run) not in world.open]
            expected = sorted(
                (Unanswered(pair[2], len(world.tries.get((pair, run), [])) + 1) for pair in idle),
                key=lambda item: (item.attempt, item.seed),
            )

            assert run_is_pending(connection, target, run, max_attempts) == bool(due)
            asked = list_unanswered(connection, target, run, max_attempts, limit)
            assert asked == expected[:limit]


@settings(max_examples=150, deadline=None)
@given(world=_worlds, max_attempts=st.integers(1, 4))
def test_progress_is_what_a_plain_model_counts(
    scratch: "Shelf", world: World, max_attempts: int
) -> None:
    with _holding(scratch, world) as connection:
        for version in VERSIONS:
            expected = [
                Progress(
                    *model,
                    run,
                    expected=len(pairs),
                    succeeded=sum(world.is_answered(pair, run) for pair in pairs),
                    failed=sum(world.is_used_up(pair, run, max_attempts) for pair in pairs),
                )
                for run, model in product(RUNS, MODELS)
                if world.is_wanted(version, model, run)
                for pairs in [world.pairs(version, model, run)]
            ]
            counted = measure_progress(connection, version, max_attempts)

            assert counted == expected
            for item in counted:
                due = world.due(version, item[:2], item.run_number, max_attempts)
                assert item.pending == len(due)


@settings(max_examples=50, deadline=None)
@given(world=_worlds)
def test_every_model_is_listed_with_its_highest_number_of_runs(
    scratch: "Shelf", world: World
) -> None:
    with _holding(scratch, world) as connection:
        highest: dict[tuple[str, str, str], int] = {}
        for (version, model, _), runs in world.wanted.items():
            highest[version, *model] = max(runs, highest.get((version, *model), 0))

        listed = list_model_targets(connection)
        assert listed == [ModelTarget(*key, highest[key]) for key in sorted(highest)]
