"""Several processes at once, and `kill -9` in between: the lake is whole and exact."""

import json
import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.analytics import tallies
from grabient_ops.analytics.follower import follow, start_follower
from grabient_ops.analytics.lake import LakeWriter
from grabient_ops.analytics.manifest import read_manifest
from grabient_ops.analytics.sync import catch_up, sync
from grabient_ops.analytics.tallies import is_due
from grabient_ops.analytics.warehouse import EmptyLakeError, open_warehouse
from grabient_ops.bell import Bell
from grabient_ops.store.changes import announce
from grabient_ops.store.tables import palette_tags

if TYPE_CHECKING:
    from tests.analytics.conftest import Home, WriterStarter

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KILLS = 20
PATIENCE_S = 60.0


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def follower(home: "Home") -> Iterator["subprocess.Popen[bytes]"]:
    """A process that follows the store."""
    process = start_follower(home.folder, home.url)
    yield process
    process.kill()
    process.wait()


def _has(home: "Home", expected: int) -> bool:
    try:
        with open_warehouse(home.lake) as warehouse:
            counted = warehouse.connection.execute("SELECT count(*) FROM responses").fetchall()
    except EmptyLakeError:
        return False
    return counted == [(expected,)]


@pytest.mark.timeout(240)
def test_killed_at_any_instant_the_next_sync_equals_a_rebuild(home: "Home") -> None:
    chance = random.Random(2026)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([sync.__module__, LakeWriter.__module__])
    killed = 0
    for kill in range(KILLS):
        ids = range(kill * 1000, kill * 1000 + 200)
        home.put(*(home.row(i, batch_id=f"b{i % 20}", tags={"mood": [f"m{i}"]}) for i in ids))
        home.change(f"b{chance.randrange(20)}", tags={"style": [f"changed {kill}"]})
        process = processes.Process(target=sync, args=(home.lake, home.url))
        process.start()
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL

    assert killed > KILLS // 4
    home.sync()
    assert home.contents() == home.rebuilt()


@pytest.mark.timeout(240)
def test_several_writers_a_follower_and_syncs_by_hand_end_exact(
    home: "Home", follower: "subprocess.Popen[bytes]", start_writer: "WriterStarter"
) -> None:
    home.put(home.row(10**9))
    _wait_until(lambda: _has(home, 1))  # it listens to signals from its first look on
    writers = [start_writer(home.url, number) for number in range(3)]
    while any(writer.poll() is None for writer in writers):
        home.sync()
        time.sleep(0.1)
    assert [(writer.communicate()[0], writer.returncode) for writer in writers] == [("", 0)] * 3
    follower.terminate()

    assert follower.wait(timeout=PATIENCE_S) == 0
    manifest = read_manifest(home.lake)
    assert manifest is not None
    assert home.sync().generation == manifest.generation
    assert home.contents() == home.rebuilt()


@pytest.mark.usefixtures("follower")
def test_a_reader_sees_whole_commits_only_while_the_follower_works(home: "Home") -> None:
    home.put(*(home.row(number, batch_id=f"b{number % 3}") for number in range(300)))
    _wait_until(lambda: _has(home, 300))
    seen = set()
    for step in range(8):
        with home.store.write() as connection:
            _rename_everything(connection, f"step {step:02}")
        for _ in range(4):
            with open_warehouse(home.lake) as warehouse:
                rows = warehouse.connection.execute("SELECT tag, count(*) FROM votes GROUP BY tag")
                seen.add(tuple(rows.fetchall()))
            time.sleep(0.05)

    assert {len(state) for state in seen} == {1}
    assert {count for ((_, count),) in seen} == {300}
    assert len(seen) > 3


def _rename_everything(connection: Connection, tag: str) -> None:
    connection.execute(sa.update(palette_tags).values(tags={"mood": [tag]}))
    announce(connection, "responses", ["b0", "b1", "b2"], NOW)


def test_the_follower_ends_with_its_parent(home: "Home") -> None:
    home.put(home.row(1))
    code = (
        "import sys; from pathlib import Path\n"
        "from grabient_ops.analytics.follower import start_follower\n"
        "print(start_follower(Path(sys.argv[1]), sys.argv[2]).pid, flush=True)\n"
        "sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code, str(home.folder), home.url]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = Path("/proc") / parent.stdout.readline().strip()
    _wait_until(lambda: _has(home, 1))
    assert child.exists()
    parent.kill()
    parent.communicate()

    _wait_until(lambda: not child.exists())


@pytest.mark.usefixtures("follower")
def test_the_follower_waits_for_a_store_that_fails_and_goes_on(home: "Home") -> None:
    home.put(home.row(1))
    _wait_until(lambda: _has(home, 1))
    (home.lake / "manifest.json").write_text(json.dumps({"format": 99}))
    home.put(home.row(2))
    time.sleep(0.6)
    home.sync(rebuild=True)
    home.put(home.row(3))

    _wait_until(lambda: _has(home, 3))


_HOLDER = """
import sys; from pathlib import Path
from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.sync import sync
with open_lake(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.readline()
sync(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.fixture
def holder(home: "Home") -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lake until it is told to let go; then it syncs."""
    command = [sys.executable, "-c", _HOLDER, str(home.lake), home.url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def _await_hold(holder: "subprocess.Popen[str]") -> None:
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holds\n"


def test_a_question_takes_what_is_published_while_another_process_syncs(
    home: "Home", request: pytest.FixtureRequest
) -> None:
    home.put(home.row(1))
    published = home.sync().generation
    _await_hold(request.getfixturevalue("holder"))
    home.put(home.row(2))
    told: list[str] = []
    started = time.monotonic()

    catch_up(home.lake, home.url, told.append, patience_s=0.2)

    assert time.monotonic() - started < PATIENCE_S / 3
    assert _has(home, 1)
    (sentence,) = told
    assert f"generation {published} of 20" in sentence


def test_a_question_waits_for_the_first_generation_of_another_process(
    home: "Home", holder: "subprocess.Popen[str]"
) -> None:
    home.put(home.row(1))
    _await_hold(holder)
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        holder.communicate("let go\n", timeout=PATIENCE_S)

    catch_up(home.lake, home.url, tell, patience_s=0.2)

    assert _has(home, 1)
    assert len(told) == 1
    assert "for the first time" in told[0]


def test_a_question_syncs_itself_when_nobody_else_does(home: "Home") -> None:
    home.put(home.row(1))

    catch_up(home.lake, home.url, pytest.fail)

    assert _has(home, 1)


def test_the_follower_counts_ahead_while_nothing_happens(
    home: "Home", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "ROWS_PER_SEGMENT", 20)
    monkeypatch.setattr(tallies, "_SETTLED", 1)
    home.put(*(home.row(number) for number in range(30)))
    home.sync()
    home.put(*(home.row(number, batch_id="later") for number in range(30, 60)))
    looks = iter(range(100))

    def is_at_rest() -> bool:
        manifest = read_manifest(home.lake)
        assert next(looks) < 99
        return manifest is not None and len(manifest.segments) > 1 and not is_due(manifest)

    follow(home.lake, home.url, is_at_rest, Bell(home.url))

    manifest = read_manifest(home.lake)
    assert manifest is not None
    assert [len(tally.segments) for tally in manifest.tallies] == [2]
