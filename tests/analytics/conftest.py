"""A store and its lake, and short words for what tests do to them."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.postgres import store_url
from grabient_ops.analytics.sync import Synced, sync
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.store.changes import announce
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.tables import palette_tag_refined, palette_tags

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

Row = dict[str, Any]
WriterStarter = Callable[[str, int], "subprocess.Popen[str]"]
Contents = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]
"""All answers and all votes of a lake by their texts, sorted: equal whatever the ids are."""

# Writes commits of twenty answers each, and changes and deletes what it wrote before.
_WRITER = """
import random, sys
import sqlalchemy as sa
from datetime import UTC, datetime
from grabient_ops.store.engine import open_store
from grabient_ops.store.changes import announce
from grabient_ops.store.tables import palette_tag_refined, palette_tags
url, number = sys.argv[1], int(sys.argv[2])
store, chance, now = open_store(url), random.Random(number), datetime(2026, 11, 22, tzinfo=UTC)
for step in range(25):
    batch = f"writer-{number}-{chance.randrange(5)}"
    of_batch = palette_tags.c.batch_id == batch
    with store.write() as connection:
        first = (number * 1000 + step) * 1000
        connection.execute(sa.insert(palette_tags), [
            dict(id=first + i, seed=f"s{i}", provider="groq", model="m", run_number=step,
                 prompt_version=str(number), attempt=1, batch_id=batch, excused=False,
                 tags={"mood": [f"Mood {chance.randrange(9)}"]}, input_tokens=1, output_tokens=1,
                 cached_tokens=0, reasoning_tokens=0, created_at=now)
            for i in range(20)])
        if chance.random() < 0.3:
            changed = sa.update(palette_tags).where(of_batch)
            connection.execute(changed.values(tags={"style": [f"new {step}"]}))
        if chance.random() < 0.3:
            odd = palette_tags.c.id % 3 == 0
            connection.execute(sa.delete(palette_tags).where(of_batch, odd))
        announce(connection, "responses", [batch], now)
"""


def contents_of(lake: Path) -> Contents:
    """Return what a lake says, without its ids."""
    with open_warehouse(lake) as warehouse:
        return (
            warehouse.connection.execute("FROM answers ORDER BY response_id").fetchall(),
            warehouse.connection.execute("FROM votes ORDER BY ALL").fetchall(),
        )


class Home:
    """A store with a lake beside it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self.url = url
        self.store: Store = open_store(url)

    def put(self, *rows: Row) -> None:
        """Append answers, as an ingest does."""
        with self.store.write() as connection:
            connection.execute(sa.insert(palette_tags), list(rows))
            announce(connection, "responses", {row["batch_id"] for row in rows}, NOW)

    def change(self, batch_id: str, **values: object) -> None:
        """Change the answers of a batch, as `reparse` does."""
        with self.store.write() as connection:
            changed = sa.update(palette_tags).where(palette_tags.c.batch_id == batch_id)
            connection.execute(changed.values(**values))
            announce(connection, "responses", [batch_id], NOW)

    def delete(self, ids: Iterable[int]) -> None:
        """Delete answers."""
        with self.store.write() as connection:
            chosen = palette_tags.c.id.in_(list(ids))
            keys = connection.execute(sa.select(palette_tags.c.batch_id).where(chosen)).scalars()
            announce(connection, "responses", sorted(set(keys)), NOW)
            connection.execute(sa.delete(palette_tags).where(chosen))

    def row(self, number: int, **values: object) -> Row:
        """A row of `palette_tags` with an id, unlike those of all other ids."""
        return {
            "id": number, "seed": f"seed-{number}", "provider": "groq", "model": "m/1",
            "model_returned": "m-1", "run_number": 1, "prompt_version": "p1", "attempt": 1,
            "batch_id": "batch", "tags": {"mood": ["calm"]}, "response": "{}", "error_class": None,
            "error": None, "excused": False, "finish_reason": "stop", "parse_stage": "strict",
            "parser_version": 1, "ambiguous": None, "input_tokens": 700, "output_tokens": 90,
            "cached_tokens": 0, "reasoning_tokens": 0, "created_at": NOW, **values,
        }  # fmt: skip

    def refine(self, *rows: Row) -> None:
        """Append refinements, as an ingest does."""
        with self.store.write() as connection:
            connection.execute(sa.insert(palette_tag_refined), list(rows))
            announce(connection, "refinements", {row["batch_id"] for row in rows}, NOW)

    def refined(self, number: int, words: str = "calm ocean", **values: object) -> Row:
        """A row of `palette_tag_refined` with an id, about a palette of its own."""
        refined = {
            "tags": {"mood": [words], "dominant_colors": ["blue"]}, "source_prompt_versions": ["p"],
            "input": "votes", "dropped": None, "sentence": None, "embed_text": words,
        }  # fmt: skip
        return self.row(number, **{**refined, **values})

    def sync(
        self, *, rebuild: bool = False, on_progress: Callable[[int], None] | None = None
    ) -> Synced:
        """Bring the lake up to date."""
        return sync(self.lake, self.url, rebuild=rebuild, on_progress=on_progress)

    def contents(self) -> Contents:
        """What the lake says."""
        return contents_of(self.lake)

    def rebuilt(self) -> Contents:
        """What a lake made from nothing says."""
        fresh = self.folder / "fresh"
        sync(fresh, self.url, rebuild=True)
        return contents_of(fresh)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty store, and nothing synced."""
    home = Home(tmp_path, store_url(tmp_path))
    yield home
    home.store.close()


@pytest.fixture
def sqlite_home(tmp_path: Path) -> Iterator[Home]:
    """The same on SQLite, whatever database the other tests are on."""
    home = Home(tmp_path, f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield home
    home.store.close()


@pytest.fixture(scope="session")
def home_of() -> type[Home]:
    """The class itself, for stores elsewhere."""
    return Home


@pytest.fixture
def start_writer() -> WriterStarter:
    """Starts a process that writes to the store at a URL; it is known by its number."""

    def start(url: str, number: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", _WRITER, url, str(number)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    return start
