"""PostgreSQL goes away in the middle of a pass: nothing is lost, and nothing is paid for twice."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.arena import Home, Sandbox, kill_hard
from benchmarks.postgres import Server, running_server

PALETTES, MODELS, RUNS = 6, 10, 2
PATIENCE_S = 100.0


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may end."""
    with running_server() as server:
        yield server


@pytest.fixture
def home(own_server: Server, sandbox: Sandbox, tmp_path: Path) -> Home:
    """A home whose store and journal are on that server."""
    variables = {"GRABIENT_OPS_DATABASE_URL": own_server.create("ops")}
    home = Home(tmp_path / "home", {**sandbox.env, **variables})
    home.add_palettes(PALETTES)
    return home


@pytest.mark.timeout(240)
def test_a_pass_survives_a_crash_of_the_server(
    home: Home, own_server: Server, sandbox: Sandbox
) -> None:
    worker = home.start("tag", "--runs", str(RUNS), "--wait")
    try:
        while len(sandbox.ledger()["batches"]) < MODELS // 2:
            assert worker.poll() is None
            time.sleep(0.02)
        own_server.stop(signal.SIGQUIT)
        refused = home.run("status", fails=True)
        own_server.start()
        _, errors = worker.communicate(timeout=PATIENCE_S)
    finally:
        if worker.poll() is None:
            kill_hard(worker)

    assert worker.returncode == 0, errors
    assert refused.startswith("error: the store postgresql")
    assert refused.count("\n") == 1
    _assert_nothing_lost_or_paid_twice(home, sandbox)


def _assert_nothing_lost_or_paid_twice(home: Home, sandbox: Sandbox) -> None:
    status = home.json("status")
    assert [(run["expected"], run["pending"]) for run in status["runs"]] == [
        (PALETTES * MODELS, 0)
    ] * RUNS
    accepted = sandbox.ledger()["batches"]
    assert sum(status["batches"].values()) == len(accepted)
    asked = home.json("batches", "list", "--limit", "1000")
    ids = Counter(batch["provider_batch_id"] for batch in asked)
    assert ids == Counter(batch["id"] for batch in accepted)
