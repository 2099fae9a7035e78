from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.postgres import store_url
from grabient_ops.store.batches import reserve_batch
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.palettes import NewPalette, add_palettes
from grabient_ops.store.responses import store_responses
from grabient_ops.store.tables import palette_tags, targets
from grabient_ops.store.targets import ModelTarget, Unanswered

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TARGET = ModelTarget("prompt-1", "groq", "openai/gpt-oss-20b", 1)

Row = dict[str, Any]


class Shelf:
    """A store, and short words for what tests put into it; all of it concerns `target`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW
        self.target = TARGET
        self.key: Row = {
            "provider": TARGET.provider,
            "model": TARGET.model,
            "run_number": 1,
            "prompt_version": TARGET.prompt_version,
        }

    def palettes(self, *seeds: str) -> None:
        """Add palettes."""
        with self.store.write() as connection:
            rows = [NewPalette(seed, "aligned", seed, "test") for seed in seeds]
            add_palettes(connection, rows, NOW)

    def plan(self, *seeds: str, runs: int = 1) -> None:
        """Add palettes and ask for exactly these to be tagged."""
        self.palettes(*seeds)
        model = dict(zip(("prompt_version", "provider", "model"), TARGET, strict=False))
        rows = [{**model, "seed": seed, "target_runs": runs} for seed in seeds]
        with self.store.write() as connection:
            connection.execute(sa.insert(targets), rows)

    def reserve(self, *seeds: str, run_number: int = 1, attempt: int = 1) -> str:
        """Reserve a batch of these palettes."""
        asked = [Unanswered(seed, attempt) for seed in seeds]
        with self.store.write() as connection:
            return reserve_batch(connection, TARGET, run_number, asked, {}, NOW)

    def respond(self, *rows: Row) -> set[str]:
        """Store rows; return the seeds whose second success was set aside."""
        with self.store.write() as connection:
            return store_responses(connection, palette_tags, self.key, rows)

    def row(self, **values: object) -> Row:
        """A row of `palette_tags`: the answer to a first attempt, unless told."""
        return {
            **self.key,
            "seed": "a", "model_returned": None, "attempt": 1, "batch_id": "batch",
            "tags": {"mood": ["calm"]}, "response": "{}", "error_class": None, "error": None,
            "excused": False, "finish_reason": "stop", "parse_stage": "strict",
            "parser_version": "1", "ambiguous": None, "input_tokens": 700, "output_tokens": 90,
            "cached_tokens": 0, "reasoning_tokens": 0, "created_at": NOW, **values,
        }  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a store may be opened."""
    return store_url(tmp_path / "home")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A fresh store."""
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def shelf(store: Store) -> Shelf:
    """A fresh store with short words for filling it."""
    return Shelf(store)


@pytest.fixture(scope="session")
def shelf_of() -> type[Shelf]:
    """The class itself, for stores that live longer than a test."""
    return Shelf
