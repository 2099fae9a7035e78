"""Another release takes over: batches in flight are finished once, and old workers do no harm."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.arena import Home, Sandbox, kill_hard
from benchmarks.fleet import Fleet, until
from benchmarks.postgres import Server, journal_url, store_url
from benchmarks.torture_oracle import find_faults
from grabient_ops.pipeline.journal import APPLICATION_VERSION, open_client
from grabient_ops.store.engine import SCHEMA_REVISION

pytestmark = pytest.mark.timeout(240)

PALETTES, MODELS = 3, 10
NEXT_VERSION = f"{APPLICATION_VERSION}-next"
_OURS = "from grabient_ops.__main__ import main\nmain()"
_NEXT = f"""
from grabient_ops.pipeline import batches, journal, patrol
journal.APPLICATION_VERSION = patrol.APPLICATION_VERSION = {NEXT_VERSION!r}
as_before = batches._run
async def with_one_step_more(steps, batch_id):
    await steps.upload(batch_id)
    return await as_before(steps, batch_id)
batches._run = with_one_step_more
{_OURS}"""
"""A release whose workflow does not go with the journal of ours."""

Process = subprocess.Popen[str]
Starter = Callable[..., Process]


@pytest.fixture
def sandbox(sandbox_starter: Callable[..., Sandbox]) -> Sandbox:
    """Batches take long enough for the worker to be replaced meanwhile."""
    return sandbox_starter(latency_s=3.0)


@pytest.fixture
def home(tmp_path: Path, sandbox: Sandbox) -> Home:
    """A home with palettes that all models are to tag once."""
    home = Home(tmp_path / "home", sandbox.env)
    home.add_palettes(PALETTES)
    home.run("tag", "--runs", "1")
    return home


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts workers; those that still run are killed after the test."""
    running: list[Process] = []

    def start(home: Home, script: str = _OURS) -> Process:
        home.path.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", script, "worker"],
            env=home.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            kill_hard(process)


def _under_way(sandbox: Sandbox) -> bool:
    return len(sandbox.ledger()["batches"]) >= MODELS // 2


def _finished_once(home: Home, sandbox: Sandbox, worker: Process) -> None:
    """Wait until a worker has finished the pass: nothing is lost, nothing was bought twice."""

    def is_done() -> bool:
        assert worker.poll() is None, worker.communicate()[1]
        # One that had stopped in the old worker is taken up again by the new one.
        completed = home.rows("SELECT count(*) FROM batches WHERE state = 'completed'")
        return completed == [(MODELS,)]

    until(is_done)
    bought = [batch["id"] for batch in sandbox.ledger()["batches"]]
    assert Counter(bought) == Counter(
        row[0] for row in home.rows("SELECT provider_batch_id FROM batches")
    )
    assert len(bought) == MODELS
    assert home.rows("SELECT count(*) FROM palette_tags") == [(PALETTES * MODELS,)]
    assert home.rows("SELECT 1 FROM stray_results") == []


def _migrate(home: Home, revision: str) -> None:
    """Do what remains of a migration by another release: it has another number."""
    engine = sa.create_engine(store_url(home.path), poolclass=sa.NullPool)
    with engine.begin() as connection:
        update = sa.text("UPDATE alembic_version SET version_num = :revision")
        connection.execute(update, {"revision": revision})


def test_a_release_with_other_steps_finishes_what_was_in_flight(
    home: Home, sandbox: Sandbox, start: Starter
) -> None:
    old = start(home)
    until(lambda: _under_way(sandbox))
    kill_hard(old)

    new = start(home, _NEXT)

    _finished_once(home, sandbox, new)
    journal = open_client(journal_url(home.path))
    workflows = journal.list_workflows()
    journal.destroy()
    assert [workflow.status for workflow in workflows] == ["SUCCESS"] * MODELS
    assert NEXT_VERSION in {workflow.app_version for workflow in workflows}


def test_a_worker_whose_store_was_migrated_ends_and_a_new_one_finishes(
    home: Home, sandbox: Sandbox, start: Starter
) -> None:
    old = start(home)
    until(lambda: _under_way(sandbox))

    _migrate(home, "9999")
    _, said = old.communicate(timeout=60)

    assert old.returncode == 1
    assert "error: another release has migrated the store" in said
    _migrate(home, SCHEMA_REVISION)
    _finished_once(home, sandbox, start(home))


@pytest.fixture
def fleet(tmp_path: Path, server: Server, sandbox: Sandbox) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, server.create(f"upgrade_{tmp_path.name}"), sandbox)
    fleet.operator.add_palettes(PALETTES)
    yield fleet
    fleet.stop()


def test_workers_of_two_releases_work_side_by_side_whoever_ends(
    fleet: Fleet, start: Starter
) -> None:
    def works(number: int) -> bool:
        return bool(fleet.executor(number)) and fleet.work_of(fleet.executor(number)) > 0

    fleet.start(1)
    until(lambda: fleet.executor(1))  # it leads
    fleet.workers[2] = start(fleet.home("machine-2"), _NEXT)
    until(lambda: fleet.executor(2))
    fleet.operator.run("tag", "--runs", "2")
    until(lambda: works(1) and works(2))

    fleet.kill(2)
    fleet.workers[2] = start(fleet.home("machine-2"), _NEXT)
    until(lambda: fleet.executor(2))
    fleet.send(1, signal.SIGTERM)
    assert fleet.workers.pop(1).wait(60) == 0

    until(fleet.is_done)
    assert find_faults(fleet) == []
