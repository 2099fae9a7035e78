"""`kill -9` at random instants: nothing paid is lost, nothing is paid twice."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.arena import Home, Sandbox, kill_hard, start_sandbox

KILLS = 40
PALETTES = 6
RUNS = 3


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = start_sandbox(latency_s=1.0)
    yield sandbox
    sandbox.stop()


@pytest.mark.timeout(420)
def test_a_pass_survives_forty_kills_without_loss_or_double_spending(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home", {**sandbox.env, "GRABIENT_OPS_REFINE_AFTER_TAGGING": "1"})
    home.add_palettes(PALETTES)
    instants = random.Random(2026)
    words = ("tag", "--runs", str(RUNS), "--wait")

    ended_by_itself = sum(_killed_or_done(home, words, instants) for _ in range(KILLS))
    home.run(*words, timeout_s=180)

    _assert_everything_ended_once(home, sandbox)
    # The kills must have hit the pass, not the time after it.
    assert ended_by_itself <= KILLS // 2


def _killed_or_done(home: Home, words: tuple[str, ...], instants: random.Random) -> bool:
    worker = home.start(*words)
    try:
        worker.communicate(timeout=instants.uniform(0.4, 3.2))
    except subprocess.TimeoutExpired:
        kill_hard(worker)
        return False
    return True


def _assert_everything_ended_once(home: Home, sandbox: Sandbox) -> None:
    runs = home.json("status")["runs"]
    assert [run["expected"] for run in runs] == [PALETTES * 10] * RUNS
    assert [run["pending"] for run in runs] == [0] * RUNS

    ledger = sandbox.ledger()
    bought = {batch["id"] for batch in ledger["batches"]}
    known = {row[0] for row in home.rows("SELECT provider_batch_id FROM batches")}
    assert bought == known
    assert len(ledger["batches"]) == len(home.rows("SELECT id FROM batches"))

    answers = sum(_check_answers(home, table) for table in ("palette_tags", "palette_tag_refined"))
    assert ledger["requests_billed"] == answers
    refined = home.json("status")["refinement"]
    assert (refined["ready"], refined["pending"]) == (PALETTES, 0)
    assert not home.rows("SELECT 1 FROM requests WHERE state = 'open'")
    assert not home.rows("SELECT 1 FROM completions WHERE delivered_at IS NULL")
    assert not home.rows("SELECT 1 FROM stray_results")


def _check_answers(home: Home, table: str) -> int:
    """Return how many answers were paid for; no request has two good ones."""
    keys = "prompt_version, provider, model, run_number, seed"
    assert not home.rows(
        f"SELECT 1 FROM {table} WHERE error_class IS NULL GROUP BY {keys} HAVING count(*) > 1"  # noqa: S608 - constant
    )
    [(answers,)] = home.rows(f"SELECT count(*) FROM {table} WHERE response IS NOT NULL")  # noqa: S608 - constant
    return int(answers)
