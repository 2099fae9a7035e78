"""Several workers on one database, driven and hurt from outside."""

import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.arena import COMMAND, Home, Sandbox, kill_hard

_PATIENCE_S = 120.0
ASKED = "SELECT coalesce(sum(target_runs), -1) FROM targets"
"""How many requests there are to be; adaptive passes may do with fewer."""
ANSWERED = """SELECT count(*) FROM (
    SELECT DISTINCT prompt_version, provider, model, run_number, seed FROM palette_tags
) AS answered"""
"""How many have an answer or a failure."""


@dataclass
class Fleet:
    """Workers with homes of their own, as on machines of their own.

    Attributes:
        folder: of the homes.
        url: of the database.
        sandbox: the providers, and the ledger of what was bought.
        lease_s: silence after which a worker is taken for dead.
        env: further variables of all commands.
        worker_env: further variables of the workers alone.
        command: what starts the program in a worker.
        one_home: whether all are on one machine and in one home, as on SQLite they must be.
        workers: by number of their machine.
        revived: how often one had ended by itself and was started again.
    """

    folder: Path
    url: str
    sandbox: Sandbox
    lease_s: float = 2.0
    env: Mapping[str, str] = field(default_factory=dict)
    worker_env: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = tuple(COMMAND)
    one_home: bool = False
    workers: dict[int, subprocess.Popen[str]] = field(default_factory=dict)
    revived: int = 0

    def __post_init__(self) -> None:
        """Connect from outside."""
        self._engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        self.operator = self.home("operator")
        if self.one_home:
            sa.event.listen(self._engine, "connect", self._attach_journal)

    def _attach_journal(self, connection: sqlite3.Connection, _record: object) -> None:
        """Give the journal the name that it has on PostgreSQL."""
        connection.execute("ATTACH ? AS dbos", [str(self.operator.path / "journal.sqlite")])

    def home(self, name: str) -> Home:
        """Return the home of a machine."""
        shared = {
            "GRABIENT_OPS_DATABASE_URL": self.url,
            "GRABIENT_OPS_LEASE_SECONDS": str(self.lease_s),
        }
        path = self.folder / ("home" if self.one_home else name)
        return Home(path, {**self.sandbox.env, **shared, **self.env})

    def start(self, number: int) -> None:
        """Start the worker of a machine, or start it again."""
        home = self.home(f"machine-{number}")
        home.path.mkdir(parents=True, exist_ok=True)
        with (home.path / "log").open("a") as log:
            self.workers[number] = subprocess.Popen(
                [*self.command, "worker"],
                env={**home.environment, **self.worker_env},
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def kill(self, number: int) -> None:
        """`kill -9` a worker."""
        kill_hard(self.workers.pop(number))

    def send(self, number: int, what: signal.Signals) -> None:
        """Send a worker, and nobody else, a signal."""
        self.workers[number].send_signal(what)

    def revive(self) -> None:
        """Start again who has ended by itself, as systemd would."""
        ended = self.ended()
        for number in ended:
            self.start(number)
        self.revived += len(ended)

    def ended(self) -> dict[int, str]:
        """Who has ended by itself, with its last words."""
        ended = [number for number, worker in self.workers.items() if worker.poll() is not None]
        return {number: self.log(number).rpartition("\n")[2] for number in ended}

    def log(self, number: int) -> str:
        """Return what the workers of a machine have said so far."""
        return (self.home(f"machine-{number}").path / "log").read_text().strip()

    def stop(self) -> None:
        """End what still runs."""
        for worker in self.workers.values():
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                kill_hard(worker)
        self.workers.clear()
        self._engine.dispose()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the database."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def open_batches(self) -> int:
        """How many batches have not ended."""
        [(number,)] = self.rows("SELECT count(*) FROM batches WHERE ended_at IS NULL")
        return int(number)

    def is_done(self) -> bool:
        """Whether every request has ended, and nothing can be asked again."""
        if self.open_batches() or self.rows(ASKED) != self.rows(ANSWERED):
            return False  # so far the database tells, and no command is needed
        runs = self.operator.json("status")["runs"]
        return not any(run["pending"] for run in runs) and not self.open_batches()

    def executor(self, number: int) -> str:
        """Return the executor id of a running worker; "" as long as it has none."""
        pid = str(self.workers[number].pid)
        ids = [str(row[0]) for row in self.rows("SELECT id FROM workers")]
        return next((found for found in ids if found.split(":")[1] == pid), "")

    def has_worked(self, executor: str) -> bool:
        """Whether an executor has begun a workflow, so that it has wholly started."""
        return executor in self._executors()

    def work_of(self, executor: str) -> int:
        """How many workflows are journaled as running in an executor."""
        return self._executors("WHERE status = 'PENDING'").count(executor)

    def _executors(self, which: str = "") -> list[str]:
        if not sa.inspect(self._engine).has_table("workflow_status", schema="dbos"):
            return []  # the first worker is only about to make its journal
        query = f"SELECT executor_id FROM dbos.workflow_status {which}"  # noqa: S608 - constant
        return [row[0] for row in self.rows(query)]


def until(condition: Callable[[], object], timeout_s: float = _PATIENCE_S) -> float:
    """Wait for something; return for how long.

    Raises:
        TimeoutError: it did not come about.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            raise TimeoutError
        time.sleep(0.05)
    return time.monotonic() - began


def kill_at_random(fleet: Fleet, kills: int, instants: random.Random) -> list[float]:
    """Kill workers at random instants and start them again; return the takeover times, in s.

    Each time ends when no workflow is left to the dead one.
    """
    takeovers: list[float] = []
    for _ in range(kills):
        time.sleep(instants.uniform(0.2, 1.5))
        victim = instants.choice(sorted(fleet.workers))
        until(lambda number=victim: fleet.executor(number))  # type: ignore[misc]
        executor = fleet.executor(victim)
        fleet.kill(victim)
        if fleet.work_of(executor):
            takeovers.append(until(lambda dead=executor: not fleet.work_of(dead), 60))  # type: ignore[misc]
        fleet.start(victim)
    return takeovers
