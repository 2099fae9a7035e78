"""`kill -9` of a follower at random instants: it ends equal to what it follows, and gives once."""

import json
import random
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.arena import Home, Sandbox, kill_hard, start_sandbox
from benchmarks.postgres import store_url
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.store.engine import open_store
from grabient_ops.store.tables import palette_tag_refined
from tests.importers.conftest import FULL, Deployment, insert, patch

KILLS = 20
SEEDS = invented_seeds(12)
MUTATION = "grabient:storeRefined"
FAULTS = {
    "server_error": 0.1, "unavailable": 0.05, "convex_cut": 0.1, "convex_expire": 0.02,
    "convex_resnapshot": 0.03, "convex_drop_mutation": 0.3,
}  # fmt: skip


class Source:
    """A deployment that somebody works with, by a seed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.deployment = Deployment(sandbox)
        self._dice = random.Random(2026)
        self._runs = 0
        self._stop = Event()
        self._thread = Thread(target=self._work)
        for _ in range(30):
            self.change()

    def start(self) -> None:
        """Change something now and then."""
        self._thread.start()

    def stop(self) -> None:
        """Leave it as it is now."""
        self._stop.set()
        self._thread.join()

    def change(self) -> None:
        """Do one random transaction."""
        ids = [document["_id"] for document in self.deployment.documents("palette_tags")]
        match self._dice.randrange(12):
            case 0 if ids:
                self.deployment.commit({"delete": self._dice.choice(ids)})
            case 1 | 2 if ids:
                mood = [f"mood {self._dice.random()}"]
                self.deployment.commit(patch(self._dice.choice(ids), tags={**FULL, "mood": mood}))
            case 3:
                self._import_again()
            case _:
                self.deployment.commit(*(insert("palette_tags", self._answer()) for _ in range(3)))

    def _import_again(self) -> None:
        """Empty a table and fill it with the same answers under other ids."""
        rows = [
            insert("palette_tags", {k: v for k, v in document.items() if not k.startswith("_")})
            for document in self.deployment.documents("palette_tags")
        ]
        self.deployment.commit({"truncate": "palette_tags"}, *rows)

    def _answer(self) -> dict[str, Any]:
        self._runs += 1
        return {
            "seed": self._dice.choice(SEEDS), "provider": "openai", "model": "gpt-4o-mini",
            "runNumber": self._runs, "promptVersion": "23862efd2386", "tags": FULL,
        }  # fmt: skip

    def _work(self) -> None:
        while not self._stop.wait(0.05):
            self.change()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = start_sandbox()
    yield sandbox
    sandbox.stop()


@pytest.mark.timeout(240)
def test_a_follower_survives_twenty_kills_and_ends_equal_to_its_source(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    source = Source(sandbox)
    source.deployment.fill({"palettes": [{"seed": seed} for seed in SEEDS]})
    source.deployment.set(sync_page=7)
    sandbox.faults(**FAULTS)
    home = Home(tmp_path / "home", sandbox.env)
    home.run("status")
    _refine(home, 40)
    words = ("sync", "convex", sandbox.url, "--push-mutation", MUTATION)
    instants = random.Random(7)

    source.start()
    for _ in range(KILLS):
        _kill(home, (*words, "--follow"), instants)
    source.stop()
    sandbox.faults(**dict.fromkeys(FAULTS, 0.0))
    home.run(*words)

    assert _mirrored(home) == _held(source.deployment)
    assert home.rows("SELECT count(*) FROM palettes") == [(len(SEEDS),)]
    given = [d["idempotencyKey"] for d in source.deployment.documents("palette_tag_refined")]
    assert len(given) == len(set(given)) == 40
    # What we gave back and heard of again is no answer of theirs.
    home.run(*words)
    assert home.rows("SELECT source, count(*) FROM palette_tag_refined GROUP BY 1") == [("own", 40)]
    pages = home.rows("SELECT value FROM notes WHERE key = 'convex'")[0][0]
    assert json.loads(pages)["pages"] > KILLS


def _kill(home: Home, words: tuple[str, ...], instants: random.Random) -> None:
    follower = home.start(*words)
    try:
        _, errors = follower.communicate(timeout=instants.uniform(0.7, 1.9))
    except subprocess.TimeoutExpired:
        kill_hard(follower)
    else:
        raise AssertionError(errors)


def _mirrored(home: Home) -> dict[str, tuple[Any, ...]]:
    rows = home.rows("SELECT source_id, seed, run_number, CAST(tags AS TEXT) FROM palette_tags")
    return {row[0]: (row[1], row[2], json.loads(row[3])["mood"]) for row in rows}


def _held(deployment: Deployment) -> dict[str, tuple[Any, ...]]:
    return {
        document["_id"]: (document["seed"], document["runNumber"], document["tags"]["mood"])
        for document in deployment.documents("palette_tags")
    }


def _refine(home: Home, count: int) -> None:
    """Put refinements into the store behind the program's back."""
    row = {
        "seed": SEEDS[0], "provider": "anthropic", "model": "claude-opus-4-5-20251101",
        "prompt_version": "aaaabbbbaaaa", "attempt": 1, "batch_id": "b", "tags": FULL,
        "response": "{}", "excused": False, "input_tokens": 1, "output_tokens": 2,
        "cached_tokens": 0, "reasoning_tokens": 0, "created_at": datetime(2026, 11, 22, tzinfo=UTC),
        "source_prompt_versions": [], "input": "", "embed_text": "calm",
    }  # fmt: skip
    rows = [{**row, "run_number": run} for run in range(1, count + 1)]
    store = open_store(store_url(home.path))
    with store.write() as connection:
        connection.execute(sa.insert(palette_tag_refined), rows)
    store.close()
