"""On PostgreSQL a commit of any process wakes the others: here they would poll once an hour."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.arena import Home, Sandbox, kill_hard
from benchmarks.fleet import Fleet, until
from benchmarks.postgres import Server
from grabient_ops.analytics.manifest import read_manifest

pytestmark = pytest.mark.timeout(240)

PROMPT_S = 30.0
"""Far below an hour; on a quiet machine it is a tenth of a second."""
_SELDOM = """
import sys
from grabient_ops import bell
from grabient_ops.analytics import follower
from grabient_ops.cli import status
from grabient_ops.pipeline import worker
bell._LISTEN_S = 3600.0
follower._POLL_WITH_BELL_S = status._LOOK_WITH_BELL_S = 3600.0
worker._IDLE_WITH_BELL_S = worker._PLAN_AT_LEAST_EVERY_S = 3600.0
"""
_COMMAND = f"{_SELDOM}\nfrom grabient_ops.__main__ import main\nmain()"
_FOLLOWER = f"{_SELDOM}\nfollower._main()"

Starter = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def fleet(tmp_path: Path, server: Server, shared_sandbox: Sandbox) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, server.create(f"wakeups_{time.monotonic_ns()}"), shared_sandbox)
    fleet.operator.add_palettes(1)
    yield fleet
    fleet.stop()


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts processes that poll once an hour; they are killed after the test."""
    running: list[subprocess.Popen[str]] = []

    def start(home: Home, script: str, *words: str) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", script, *words],
                env={**home.environment, "COLUMNS": "200", "FORCE_COLOR": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return running[-1]

    yield start
    for process in running:
        kill_hard(process)


_LAG = """
SELECT extract(epoch FROM min(b.created_at)::timestamptz - max(c.at)::timestamptz)
FROM batches b, changes c WHERE c.topic = 'targets'"""


def test_workers_take_up_what_another_process_asks_for_and_finish_it(
    fleet: Fleet, start: Starter
) -> None:
    for number in range(2):
        fleet.workers[number] = start(fleet.home(f"machine-{number}"), _COMMAND, "worker")
    until(lambda: all(fleet.executor(number) for number in range(2)))
    until(lambda: fleet.rows("SELECT to_regclass('dbos.workflow_status')") != [(None,)])
    time.sleep(2)  # the looks that come with a start are over

    fleet.operator.run("tag", "--runs", "2", "--model", "groq/openai/gpt-oss-20b")

    until(lambda: fleet.rows("SELECT 1 FROM batches LIMIT 1"))
    [(seconds,)] = fleet.rows(_LAG)  # from the commit of `tag` to the planner's
    assert seconds < PROMPT_S
    until(fleet.is_done, 60)
    assert fleet.rows("SELECT count(*) FROM palette_tags") == [(2,)]


def _kept(lake: Path) -> int:
    """How many answers a lake holds; -1 before the first look at the store."""
    manifest = read_manifest(lake)
    return -1 if manifest is None else sum(segment.rows for segment in manifest.segments)


def test_the_warehouse_of_another_machine_follows_what_a_worker_stores(
    fleet: Fleet, start: Starter
) -> None:
    home = fleet.home("looking on")
    home.path.mkdir()
    start(home, _FOLLOWER, str(os.getpid()))
    lake = home.path / "lake"
    until(lambda: _kept(lake) == 0)
    time.sleep(1)  # its bell is listened to
    fleet.start(0)

    fleet.operator.run("tag", "--runs", "1", "--model", "groq/openai/gpt-oss-20b")

    until(lambda: fleet.rows("SELECT 1 FROM palette_tags LIMIT 1"))
    assert until(lambda: _kept(lake) == 1, 60) < PROMPT_S


def test_status_that_watches_shows_a_commit(fleet: Fleet, start: Starter) -> None:
    watching = start(fleet.operator, _COMMAND, "status", "--watch")
    shown = _shown(watching)
    assert "1 palettes" in next(shown)
    time.sleep(1)  # its bell is listened to

    fleet.operator.add_palettes(3)

    began = time.monotonic()
    assert "3 palettes" in next(shown)
    assert time.monotonic() - began < PROMPT_S


def _shown(watching: "subprocess.Popen[str]") -> Iterator[str]:
    """Yield each line that says how many palettes there are."""
    assert watching.stdout is not None
    for line in watching.stdout:
        if "palettes" in line:
            yield line
