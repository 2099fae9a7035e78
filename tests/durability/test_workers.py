"""Several workers on one PostgreSQL: whatever happens to one, the others finish the work."""

import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.arena import Sandbox, start_sandbox
from benchmarks.fleet import Fleet, kill_at_random, until
from benchmarks.postgres import Server
from benchmarks.torture_oracle import find_faults
from grabient_ops.pipeline.leases import LEASE_S

pytestmark = pytest.mark.timeout(240)
_number = iter(range(1000))
_FAILED = re.compile("error: the (store|journal) .*failed: .*")


@pytest.fixture(scope="module")
def latency_s() -> float:
    """Batches take long enough for a worker to be hurt meanwhile."""
    return 3.0


@pytest.fixture
def sandbox(latency_s: float) -> Iterator[Sandbox]:
    sandbox = start_sandbox(latency_s=latency_s)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def fleet(tmp_path: Path, server: Server, sandbox: Sandbox) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, server.create(f"fleet_{next(_number)}"), sandbox)
    yield fleet
    fleet.stop()


def _asked(fleet: Fleet, palettes: int, *words: str) -> None:
    fleet.operator.add_palettes(palettes)
    fleet.operator.run("tag", *words)


def _finished(fleet: Fleet) -> None:
    until(fleet.is_done)
    assert find_faults(fleet) == []


def test_three_workers_killed_at_random_finish_and_buy_nothing_twice(fleet: Fleet) -> None:
    for number in range(3):
        fleet.start(number)  # all of them find an empty database
    _asked(fleet, 5)
    takeovers = kill_at_random(fleet, 4, random.Random(3))

    _finished(fleet)
    assert all(seconds < 30 for seconds in takeovers)


def test_a_worker_that_is_told_to_end_hands_its_work_over_at_once(fleet: Fleet) -> None:
    _asked(fleet, 3)
    fleet.start(1)
    until(lambda: fleet.executor(1) and fleet.work_of(fleet.executor(1)) >= 5)
    leaving = fleet.executor(1)
    fleet.start(2)
    until(lambda: fleet.executor(2))

    fleet.send(1, signal.SIGTERM)
    assert fleet.workers[1].wait(60) == 0
    until(lambda: not fleet.work_of(leaving))
    _finished(fleet)


def test_a_worker_that_was_stopped_for_long_ends_without_having_done_anything(
    fleet: Fleet, sandbox: Sandbox
) -> None:
    _asked(fleet, 3)
    fleet.start(1)
    fleet.start(2)
    until(lambda: fleet.executor(1) and fleet.executor(2) and sandbox.ledger()["batches"])
    sleeper = fleet.executor(1)

    fleet.send(1, signal.SIGSTOP)
    until(lambda: not fleet.executor(1) and not fleet.work_of(sleeper))
    fleet.send(1, signal.SIGCONT)

    assert fleet.workers[1].wait(60) == 1
    _finished(fleet)


def test_workers_go_on_when_their_database_was_away(fleet: Fleet, server: Server) -> None:
    fleet.lease_s = LEASE_S  # nobody is to be taken for dead because the machine is slow
    fleet.operator.add_palettes(3)
    for number in (1, 2):
        fleet.start(number)
    until(lambda: fleet.executor(1) and fleet.executor(2))
    workers = fleet.executor(1), fleet.executor(2)
    fleet.operator.run("tag")
    until(lambda: all(map(fleet.has_worked, workers)))

    server.stop(signal.SIGQUIT)
    time.sleep(1)
    server.start()

    _finished(fleet)
    assert fleet.ended() == {}


def test_workers_whose_database_goes_away_while_they_start_work_or_say_so_in_one_line(
    fleet: Fleet, server: Server
) -> None:
    fleet.lease_s = LEASE_S
    _asked(fleet, 1)
    for number in range(4):
        fleet.start(number)
        time.sleep(0.5)

    server.stop(signal.SIGQUIT)
    until(fleet.ended)
    server.start()

    time.sleep(3)  # the others find out
    last_words = fleet.ended().values()
    assert [said for said in last_words if not _FAILED.fullmatch(said)] == []
    fleet.revive()  # as systemd does
    _finished(fleet)
