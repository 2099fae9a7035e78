"""A thousand batches in flight on one worker: what it costs, and how soon a new one has them all.

On SQLite and on PostgreSQL, with the waits between polls that an operator has.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from benchmarks.arena import start_sandbox
from benchmarks.fleet import Fleet, until
from benchmarks.postgres import running_server
from benchmarks.report import Figure
from grabient_ops.settings import Settings
from grabient_ops.store.engine import open_store
from grabient_ops.store.tables import batches

BATCHES, MODELS, REQUESTS = 1_000, 10, 4
_YOUNG_S = 60.0
_LATENCY_S = 24 * 3600.0
_OLD = timedelta(hours=4)
_PATIENCE_S = 1200.0
_POLL_S = float(Settings.model_fields["poll_seconds"].default)
_PROVIDERS = ("openai", "anthropic", "google", "groq")
_POLLS = """
SELECT coalesce(sum(value), 0) FROM counters WHERE name GLOB 'call GET *{*}'
AND name NOT GLOB '*files/*'"""
_END_NOW = """
UPDATE batches SET doc = CAST(json_set(CAST(doc AS TEXT), '$.latency_s', 0.1) AS BLOB)"""


@dataclass(frozen=True)
class Load:
    """What a worker took over a while.

    Attributes:
        cpu: share of one core.
        polls_per_s: how often it asked providers for the state of a batch.
        lasted_s: how long.
        rss_mb: its memory at the end (MiB).
    """

    cpu: float
    polls_per_s: float
    lasted_s: float
    rss_mb: float


@dataclass
class Soak:
    """One worker on its database, and a sandbox whose batches end when they are told to.

    Attributes:
        fleet: the worker is its only one.
        state: the sandbox's file.
        journal_url: where the workflows are.
    """

    fleet: Fleet
    state: Path
    journal_url: str
    _pid: int = field(default=0, init=False)

    def start(self) -> None:
        """Start the worker."""
        self.fleet.start(1)
        self._pid = self.fleet.workers[1].pid

    def fill(self) -> float:
        """Have all batches sent; return after how many seconds they were."""
        limits = "".join(f"[defaults.{name}]\nbatch_requests = {REQUESTS}\n" for name in _PROVIDERS)
        for home in (self.fleet.operator, self.fleet.home("machine-1")):
            home.path.mkdir(parents=True, exist_ok=True)
            (home.path / "models.toml").write_text(limits)
        self.fleet.operator.add_palettes(BATCHES // MODELS * REQUESTS)
        self.fleet.operator.run("tag")
        self.start()
        return until(lambda: self.count("state = 'waiting'") == BATCHES, _PATIENCE_S)

    def count(self, condition: str) -> int:
        """Count the batches that are so."""
        [(number,)] = self.fleet.rows(f"SELECT count(*) FROM batches WHERE {condition}")  # noqa: S608
        return int(number)

    def recover(self) -> float:
        """Kill the worker and start it; return after how many seconds all have been polled."""
        self.fleet.kill(1)
        self._make_old()
        before = self._polls()
        self.start()
        return until(lambda: self._polls() - before >= BATCHES, _PATIENCE_S)

    def _make_old(self) -> None:
        """Have the batches been sent hours ago, as most are at any moment."""
        store = open_store(self.fleet.url)
        with store.write() as connection:
            connection.execute(sa.update(batches).values(submitted_at=datetime.now(UTC) - _OLD))
        store.close()

    def watch(self, polls: int, seconds: float) -> Load:
        """Measure for so many seconds, and until there were so many polls."""
        began, cpu, before = time.monotonic(), self._cpu_s(), self._polls()
        time.sleep(seconds)
        until(lambda: self._polls() - before >= polls, _PATIENCE_S)
        lasted_s = time.monotonic() - began
        return Load(
            (self._cpu_s() - cpu) / lasted_s,
            (self._polls() - before) / lasted_s,
            lasted_s,
            self._rss_mb(),
        )

    def finish(self) -> float:
        """Let all batches end; return how many rows the journal then has for each.

        Raises:
            RuntimeError: something was bought twice, or not answered.
        """
        self.fleet.kill(1)
        with closing(sqlite3.connect(self.state)) as db, db:
            db.execute(_END_NOW)
        self.start()
        until(lambda: self.count("state = 'completed'") == BATCHES, _PATIENCE_S)
        bought = len(self.fleet.sandbox.ledger()["batches"])
        [(answers,)] = self.fleet.rows("SELECT count(DISTINCT seed || model) FROM palette_tags")
        if (bought, answers) != (BATCHES, BATCHES * REQUESTS):
            raise RuntimeError(f"{bought} batches were bought, {answers} requests answered")
        return self._journal_rows() / BATCHES

    def _journal_rows(self) -> int:
        engine = sa.create_engine(self.journal_url, poolclass=sa.NullPool)
        schema = "dbos" if engine.dialect.name == "postgresql" else None
        with engine.connect() as connection:
            names = sa.inspect(connection).get_table_names(schema)
            tables = [sa.table(name, schema=schema) for name in names if "migration" not in name]
            counts = [sa.select(sa.func.count()).select_from(table) for table in tables]
            return sum(connection.execute(count).scalar_one() for count in counts)

    def _polls(self) -> int:
        with closing(sqlite3.connect(self.state, timeout=30)) as db:
            return int(db.execute(_POLLS).fetchone()[0])

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _rss_mb(self) -> float:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        [rss] = (line.split()[1] for line in lines if line.startswith("VmRSS"))
        return int(rss) / 1024


@contextmanager
def soaking(database: str) -> Iterator[Soak]:
    """Run a sandbox, and on PostgreSQL a server; end them and the worker afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        url = f"sqlite:///{folder / 'store.sqlite'}"
        journal_url = f"sqlite:///{folder / 'machine-1' / 'journal.sqlite'}"
        if database == "PostgreSQL":
            url = journal_url = stack.enter_context(running_server()).create("soak")
        state = folder / "sandbox.sqlite"
        sandbox = start_sandbox("--state", str(state), latency_s=_LATENCY_S)
        stack.callback(sandbox.stop)
        # A failed request asked again would be another batch.
        env = {"GRABIENT_OPS_POLL_SECONDS": str(_POLL_S), "GRABIENT_OPS_MAX_ATTEMPTS": "1"}
        fleet = Fleet(folder, url, sandbox, lease_s=15.0, env=env)
        stack.callback(fleet.stop)
        yield Soak(fleet, state, journal_url)


def figures() -> Iterator[Figure]:
    """Soak a worker on each database."""
    for database in ("SQLite", "PostgreSQL"):
        with soaking(database) as soak:
            yield from _figures(soak, f"{BATCHES:,} batches in flight, {database}")


def _figures(soak: Soak, what: str) -> Iterator[Figure]:
    filled_s = soak.fill()
    yield Figure(f"{what}: sent", f"{filled_s:.0f} s", "", f"{BATCHES / filled_s:.0f} batches/s")
    young = soak.watch(0, _YOUNG_S)
    yield _figure(f"{what}, just sent", young, "", "< 300 MB")
    recovered_s = soak.recover()
    yield Figure(
        f"{what}, `kill -9`, start, all polled again",
        f"{recovered_s:.1f} s", "", f"{recovered_s:.1f} s", "< 10 s",
    )  # fmt: skip
    steady = soak.watch(BATCHES, _YOUNG_S)
    yield _figure(f"{what}, sent hours ago", steady, "", "< 5 % of a core, < 300 MB")
    rows = soak.finish()
    yield Figure(f"{what}: rows in the journal", f"{rows:.1f} a batch", "", f"{rows:.1f}", "<= 20")


def _figure(what: str, load: Load, other: str, target: str) -> Figure:
    measured = f"over {load.lasted_s:.0f} s with {load.polls_per_s:.1f} polls/s"
    return Figure(
        f"{what}, CPU of one core and memory, {measured}",
        f"{load.cpu:.1%}, {load.rss_mb:.0f} MB",
        other,
        f"{load.cpu:.1%}",
        target,
    )
