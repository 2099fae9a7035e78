"""A thousand batches in flight on one worker, on both databases: CPU, memory, journal, recovery."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from benchmarks.arena import start_sandbox
from benchmarks.fleet import Fleet, until
from benchmarks.postgres import running_server
from benchmarks.report import Figure

BATCHES = 1_000
MODELS = 10
REQUESTS = 4
WINDOW_S = 75.0
POLL_S = 15.0
"""The default of GRABIENT_OPS_POLL_SECONDS."""
_PATIENCE_S = 900.0
_AGE_S = 4 * 3600
_PROVIDERS = ("openai", "anthropic", "google", "groq")
_IS_POLL = "name LIKE 'call GET %{%}' AND name NOT LIKE '%content%' AND name NOT LIKE '%results%'"


@dataclass
class Soak:
    """One worker with its database and a sandbox whose batches end when they are told to."""

    fleet: Fleet
    sandbox_state: Path

    @property
    def process(self) -> int:
        """Process id of the worker."""
        return self.fleet.workers[1].pid

    def fill(self) -> float:
        """Ask for so much that so many batches are in flight; return how long that took, in s."""
        fleet = self.fleet
        for name in ("operator", "machine-1"):
            path = fleet.home(name).path
            path.mkdir(parents=True, exist_ok=True)
            limits = [f"[defaults.{name}]\nbatch_requests = {REQUESTS}\n" for name in _PROVIDERS]
            (path / "models.toml").write_text("".join(limits))
        fleet.operator.add_palettes(BATCHES // MODELS * REQUESTS)
        fleet.operator.run("tag")
        fleet.start(1)
        return until(lambda: self.waiting() == BATCHES, _PATIENCE_S)

    def waiting(self) -> int:
        """How many batches are at their provider."""
        [(number,)] = self.fleet.rows("SELECT count(*) FROM batches WHERE state = 'waiting'")
        return int(number)

    def polls(self) -> int:
        """How often the sandbox has been asked for the state of a batch."""
        with closing(sqlite3.connect(self.sandbox_state)) as db:
            [(number,)] = db.execute(f"SELECT coalesce(sum(value), 0) FROM counters WHERE {_IS_POLL}")  # noqa: S608
        return int(number)

    def tell_sandbox(self, change: str) -> None:
        with closing(sqlite3.connect(self.sandbox_state)) as db, db:
            db.execute(f"UPDATE batches SET doc = CAST(json_set(CAST(doc AS TEXT), {change}) AS BLOB)")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kib] = (line.split()[1] for line in lines if line.startswith("VmRSS"))
    return int(kib) / 1024


def main() -> None:
    import sys
    which = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sandbox = start_sandbox("--state", str(folder / "sandbox"), latency_s=3600.0)
        with running_server() as server:
            url = server.create("soak") if which == "pg" else f"sqlite:///{folder / 'store.sqlite'}"
            fleet = Fleet(folder, url, sandbox, lease_s=15.0, env={"GRABIENT_OPS_POLL_SECONDS": "15"})
            soak = Soak(fleet, folder / "sandbox")
            try:
                print("filled in", soak.fill(), "pid", soak.process, flush=True)
                def window(label):
                    c, p, t = cpu_s(soak.process), soak.polls(), time.monotonic()
                    time.sleep(float(os.environ.get("WIN", "60")))
                    s = time.monotonic() - t
                    print(label, "cpu", (cpu_s(soak.process) - c) / s, "polls/s", (soak.polls() - p) / s, "rss", rss_mb(soak.process), os.getloadavg(), flush=True)
                window("young")
                window("young2")
                fleet.kill(1)
                p = soak.polls()
                t = time.monotonic()
                fleet.start(1)
                while soak.polls() - p < BATCHES:
                    time.sleep(0.05)
                    if time.monotonic() - t > 60: break
                print("recovered in", time.monotonic() - t, "cpu", cpu_s(soak.process), "rss", rss_mb(soak.process), "threads", len(os.listdir(f"/proc/{soak.process}/task")), flush=True)
                window("after restart")
            finally:
                fleet.stop()
                sandbox.stop()

if __name__ == "__main__":
    main()
