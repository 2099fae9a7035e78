import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from benchmarks.postgres import database_env, store_url
from grabient_ops.cli.main import main
from grabient_ops.store.batches import reserve_batch, update_batch
from grabient_ops.store.changes import since
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.palettes import NewPalette, add_palettes
from grabient_ops.store.tables import palette_tags, targets
from grabient_ops.store.targets import ModelTarget, Unanswered, list_unanswered

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODEL = ModelTarget("prompt-1", "groq", "openai/gpt-oss-20b", 1)


class Ran(NamedTuple):
    """What a command has left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - each command has its own shape
        return json.loads(self.out)


Ops = Callable[..., Ran]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    monkeypatch.setenv("GRABIENT_OPS_HOME", str(path))
    for name, value in database_env(path).items():
        monkeypatch.setenv(name, value)
    return path


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Ops:
    """Run `grabient-ops` as the shell does, exit code and all, but in this process."""

    def run(*words: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["grabient-ops", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
        written = capsysbinary.readouterr()
        return Ran(code, written.out.decode(), written.err.decode())

    return run


class Shelf:
    """A store that a test fills by hand; whatever is stored belongs to `MODEL`."""

    now = NOW

    def __init__(self, store: Store) -> None:
        self.store = store

    def plan(self, *seeds: str) -> None:
        """Store palettes and ask for one run of them."""
        palettes = [NewPalette(seed, "aligned", seed, "test") for seed in seeds]
        asked = [dict(zip(targets.c.keys(), (*MODEL[:3], seed, 1), strict=False)) for seed in seeds]
        with self.store.write() as connection:
            add_palettes(connection, palettes, NOW)
            connection.execute(sa.insert(targets), asked)

    def batch(self, *seeds: str, state: str = "waiting", **values: object) -> str:
        """Reserve a batch, then set some of its columns; return its id."""
        asked = [Unanswered(seed, 1) for seed in seeds]
        with self.store.write() as connection:
            batch_id = reserve_batch(connection, MODEL, 1, asked, {"temperature": 1.6}, NOW)
            update_batch(connection, batch_id, NOW, state=state, **values)
        return batch_id

    def respond(self, *seeds: str, **values: object) -> None:
        """Store one answer each: the first attempt, which could not be parsed, unless told."""
        row = {
            "provider": MODEL.provider, "model": MODEL.model, "model_returned": None,
            "run_number": 1, "prompt_version": MODEL.prompt_version, "attempt": 1,
            "batch_id": "batch", "tags": None, "response": "I cannot see it.",
            "error_class": "unparsable", "error": "no JSON", "excused": False,
            "finish_reason": "stop", "parse_stage": "none", "parser_version": 0, "ambiguous": None,
            "input_tokens": 700, "output_tokens": 90, "cached_tokens": 0, "reasoning_tokens": 0,
            "created_at": NOW,
        }  # fmt: skip
        with self.store.write() as connection:
            rows = [{**row, "seed": seed, **values} for seed in seeds]
            connection.execute(sa.insert(palette_tags), rows)

    def answers(self) -> list[dict[str, Any]]:
        """Every stored answer and failure, in order."""
        query = sa.select(palette_tags).order_by(palette_tags.c.id)
        with self.store.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def askable(self) -> list[str]:
        """The palettes that the planner may ask about (again)."""
        with self.store.read() as connection:
            return [item.seed for item in list_unanswered(connection, MODEL, 1, 1, 10)]

    def announced(self, topic: str) -> list[str]:
        """The keys of all changes of a topic, in order."""
        with self.store.read() as connection:
            return [change.key for change in since(connection, 0) if change.topic == topic]


@pytest.fixture
def shelf(home: Path) -> Iterator[Shelf]:
    home.mkdir()
    store = open_store(store_url(home))
    yield Shelf(store)
    store.close()
