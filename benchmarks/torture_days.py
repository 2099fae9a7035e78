"""Bad days of workers, database, disk, clock and network; each is a pass that must end exactly."""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.arena import start_sandbox
from benchmarks.fleet import Fleet, until
from benchmarks.postgres import Server
from benchmarks.torture_disk import disk_below, family_of
from benchmarks.torture_oracle import find_faults
from benchmarks.torture_proxy import Proxy, hurt_at_random, proxied

_PATIENCE_S = 300.0
_REST_S = 0.5
_SETTLED_S = 4.0
"""Longer than a creation of unknown outcome is looked for on loopback."""
_HOUR_S = 3600.0
_CLOCK = Path(__file__).with_name("torture_clock.py")
_numbers = count()


@dataclass(frozen=True)
class Trial:
    """What a bad day happens to.

    Attributes:
        folder: for homes.
        server: a PostgreSQL that may be ended.
        seed: decides every instant.
        times: how often the day hurts.
        palettes: each is tagged by every model in each of the runs.
        workers: how many work, where it is not the day that says it.
        words: which models, as options of `tag`; by default the ten.
        runs: one after the other.
        latency_s: of a batch at the providers.
    """

    folder: Path
    server: Server
    seed: int = 7
    times: int = 6
    palettes: int = 3
    runs: int = 4
    latency_s: float = 2.0
    workers: int = 2
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a pass has ended.

    Attributes:
        told: what was done to it.
        requests: how many the providers billed.
        batches: how many were bought.
        lasted_s: the pass.
        faults: promises that were broken.
    """

    told: str
    requests: int
    batches: int
    lasted_s: float
    faults: list[str]


@dataclass(frozen=True)
class Day:
    """One kind of bad day.

    Attributes:
        name: of the row.
        hurt: sets a pass going, hurts it, and judges it once it has ended.
    """

    name: str
    hurt: Callable[[Trial], Outcome]


@contextmanager
def _passing(
    trial: Trial, *, one_home: bool = False, folder: Path | None = None, lease_s: float = 3.0
) -> Iterator[Fleet]:
    """Have a pass ordered; the workers are still to be started."""
    number = next(_numbers)
    folder = folder or trial.folder / f"day-{number}"
    name = f"day_{number}_{time.monotonic_ns()}"
    url = f"sqlite:///{folder}/home/store.sqlite" if one_home else trial.server.create(name)
    sandbox = start_sandbox(latency_s=trial.latency_s, seed=trial.seed)
    fleet = Fleet(folder, url, sandbox, lease_s=lease_s, one_home=one_home)
    try:
        fleet.operator.add_palettes(trial.palettes)
        fleet.operator.run("tag", "--runs", str(trial.runs), *trial.words)
        yield fleet
    finally:
        fleet.stop()
        sandbox.stop()


def _judged(fleet: Fleet, began: float, told: str) -> Outcome:
    """Wait for the end of the pass; whoever has ended by itself is started again."""
    deadline = time.monotonic() + _PATIENCE_S
    while not fleet.is_done():
        fleet.revive()
        if time.monotonic() > deadline:
            return Outcome(told, 0, 0, time.monotonic() - began, ["the pass does not end"])
        time.sleep(_REST_S)
    lasted_s = time.monotonic() - began
    ledger = fleet.sandbox.ledger()
    revived = fleet.revived
    again = f"; {revived} times a worker had ended and was started again" if revived else ""
    return Outcome(
        told + again,
        ledger["requests_billed"],
        len(ledger["batches"]),
        lasted_s,
        find_faults(fleet),
    )


def _is_working(fleet: Fleet, number: int) -> bool:
    executor = fleet.executor(number)
    return bool(executor and fleet.work_of(executor))


def _has_work_to_stop(fleet: Fleet) -> bool:
    fleet.revive()
    return any(_is_working(fleet, n) for n in (0, 1)) or fleet.is_done()


def stopped_for_long(trial: Trial) -> Outcome:
    """SIGSTOP a worker that has work in hand, until others have it; then SIGCONT."""
    chance = random.Random(trial.seed)  # noqa: S311 - repeatable
    began, ended = time.monotonic(), 0
    with _passing(trial) as fleet:
        for number in range(2):
            fleet.start(number)
        for turn in range(trial.times):
            until(lambda: _has_work_to_stop(fleet))
            victim = next((n for n in (0, 1) if _is_working(fleet, n)), turn % 2)
            time.sleep(chance.uniform(0, 1))
            pause_s = chance.choice([0, _SETTLED_S])
            ended += _stop_beyond_its_lease(fleet, victim, pause_s)
        told = f"{trial.times} times beyond a lease of {fleet.lease_s:g} s; {ended} then ended"
        return _judged(fleet, began, told + " by themselves, as they must")


def _stop_beyond_its_lease(fleet: Fleet, victim: int, pause_s: float) -> bool:
    """Return whether the worker ends once it goes on, some time after others have followed it."""
    until(lambda: fleet.executor(victim))
    sleeper = fleet.executor(victim)

    def is_followed() -> bool:
        fleet.revive()  # on a slow machine the other may have lost its lease, too
        return not fleet.executor(victim) and not fleet.work_of(sleeper)

    fleet.send(victim, signal.SIGSTOP)
    until(is_followed)
    time.sleep(pause_s)
    fleet.send(victim, signal.SIGCONT)
    has_ended = fleet.workers[victim].wait(60) == 1
    fleet.start(victim)
    return has_ended


def two_on_one_home(trial: Trial) -> Outcome:
    """Start two workers on one SQLite home: one refuses; the other is killed; again."""
    chance = random.Random(trial.seed)  # noqa: S311 - repeatable
    began, refused = time.monotonic(), 0
    with _passing(trial, one_home=True) as fleet:
        for _ in range(trial.times):
            fleet.start(0)
            fleet.start(1)
            until(lambda: any(worker.poll() is not None for worker in fleet.workers.values()))
            [loser] = [n for n, worker in fleet.workers.items() if worker.poll() is not None]
            refused += fleet.workers.pop(loser).wait() == 1
            time.sleep(chance.uniform(0.2, 2))
            fleet.kill(1 - loser)
        fleet.start(0)
        told = f"{refused} of {trial.times} times the second refused; then the first was killed"
        return _judged(fleet, began, told)


def server_stopped(how: signal.Signals, trial: Trial) -> Outcome:
    """Stop the server while workers work; start it again."""
    chance = random.Random(trial.seed)  # noqa: S311 - repeatable
    began, away_s = time.monotonic(), 0.0
    with _passing(trial) as fleet:
        for number in range(trial.workers):
            fleet.start(number)
        for _ in range(trial.times):
            time.sleep(chance.uniform(0.5, 3))
            trial.server.stop(how)
            pause_s = chance.uniform(0.1, 4)
            time.sleep(pause_s)
            trial.server.start()
            away_s += pause_s
        return _judged(fleet, began, f"{trial.times} times, away for {away_s:.0f} s in all")


def full_disk(trial: Trial, *, may_mount: bool = True) -> Outcome:
    """Leave no room for store, journal, spool, warehouse and log; make room again."""
    chance = random.Random(trial.seed)  # noqa: S311 - repeatable
    began, full_s = time.monotonic(), 0.0
    place = trial.folder / f"disk-{next(_numbers)}"
    with (
        disk_below(place, may_mount=may_mount) as disk,
        _passing(trial, one_home=True, folder=place) as fleet,
    ):
        fleet.start(0)
        for _ in range(trial.times):
            time.sleep(chance.uniform(0.3, 3))
            pids = family_of(fleet.workers[0].pid)
            disk.fill(pids)
            pause_s = chance.uniform(0.2, 3)
            time.sleep(pause_s)
            disk.free(pids)
            full_s += pause_s
            fleet.revive()
        told = f"{trial.times} times, for {full_s:.0f} s in all ({disk.told}; SQLite)"
        return _judged(fleet, began, told)


def clock_jumps(trial: Trial) -> Outcome:
    """Have the wall clocks of workers jump by an hour, each way; answers get lost meanwhile."""
    chance = random.Random(trial.seed)  # noqa: S311 - repeatable
    began = time.monotonic()
    with _passing(trial) as fleet:
        fleet.sandbox.faults(accept_then_drop=0.2, read_after_write_404=0.2)
        clocks = [fleet.folder / f"clock-{number}" for number in range(trial.workers)]
        for number, clock in enumerate(clocks):
            _set(clock, 0)
            fleet.command = [sys.executable, str(_CLOCK), str(clock)]
            fleet.start(number)
        for turn in range(trial.times):
            time.sleep(chance.uniform(0.5, 2.5))
            _set(clocks[turn % trial.workers], chance.choice([-_HOUR_S, _HOUR_S]))
        told = (
            f"{trial.times} jumps by an hour; 1 in 5 answers to creations lost, 1 in 5 listed late"
        )
        return _judged(fleet, began, told)


def _set(clock: Path, offset_s: float) -> None:
    """Write in one go: a worker may read at any time."""
    fresh = clock.with_suffix(".new")
    fresh.write_text(str(offset_s))
    fresh.replace(clock)


def network_to_providers(trial: Trial) -> Outcome:
    """Reset, refuse, stall and deafen what lies between workers and the providers."""
    with _passing(trial) as fleet:
        address = urlsplit(fleet.sandbox.url)
        with proxied((address.hostname or "", address.port or 0)) as proxy:
            near = f"http://127.0.0.1:{proxy.port}"
            env = {k: v.replace(fleet.sandbox.url, near) for k, v in fleet.sandbox.env.items()}
            return _with_bad_line(trial, fleet, proxy, env)


def network_to_database(trial: Trial) -> Outcome:
    """The same between workers and PostgreSQL."""
    with _passing(trial) as fleet:
        name = fleet.url.partition("@/")[2].partition("?")[0]
        with proxied(trial.server.folder / ".s.PGSQL.5432") as proxy:
            near = f"postgresql+psycopg://tester@127.0.0.1:{proxy.port}/{name}?sslmode=disable"
            return _with_bad_line(trial, fleet, proxy, {"GRABIENT_OPS_DATABASE_URL": near})


def _with_bad_line(trial: Trial, fleet: Fleet, proxy: Proxy, env: Mapping[str, str]) -> Outcome:
    chance = random.Random(trial.seed)  # noqa: S311 - repeatable
    began = time.monotonic()
    fleet.worker_env = env
    for number in range(trial.workers):
        fleet.start(number)
    until(fleet.open_batches)
    counts = hurt_at_random(proxy, chance, trial.times * 2, 2 * fleet.lease_s, fleet.is_done)
    told = ", ".join(f"{times} x {trouble}" for trouble, times in counts.items())
    return _judged(fleet, began, told)


DAYS = (
    Day("worker stopped (SIGSTOP), and continued", stopped_for_long),
    Day("two workers on one SQLite home", two_on_one_home),
    Day("PostgreSQL stopped: fast", partial(server_stopped, signal.SIGINT)),
    Day("PostgreSQL stopped: immediate", partial(server_stopped, signal.SIGQUIT)),
    Day("full disk", full_disk),
    Day("clocks jump", clock_jumps),
    Day("network between workers and providers", network_to_providers),
    Day("network between workers and PostgreSQL", network_to_database),
)
