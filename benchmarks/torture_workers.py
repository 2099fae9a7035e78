"""Three workers on one PostgreSQL under forty random kills; writes into `docs/reliability.md`."""

import random
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

from benchmarks.arena import start_sandbox
from benchmarks.fleet import Fleet, find_faults, kill_at_random, until
from benchmarks.postgres import running_server

WORKERS = 3
KILLS = 40
PALETTES, RUNS = 35, 6
LATENCY_S = 30.0
LEASE_S = 5.0
SEED = 2026
PAGE = Path("docs/reliability.md")
BEGIN, END = "<!-- workers: begin -->", "<!-- workers: end -->"


@dataclass(frozen=True)
class Outcome:
    """What the kills have led to.

    Attributes:
        requests: how many the providers billed.
        batches: how many were bought.
        takeovers: seconds from a kill until no workflow was left to the dead worker.
        faults: invariants that do not hold.
        lasted_s: the pass.
    """

    requests: int
    batches: int
    takeovers: list[float]
    faults: list[str]
    lasted_s: float

    def describe(self) -> str:
        """Return a paragraph."""
        p95 = quantiles(self.takeovers, n=20)[-1] if len(self.takeovers) > 1 else 0.0
        found = "; ".join(self.faults) if self.faults else "all invariants hold"
        return (
            f"Made by `python -m benchmarks.torture_workers` on {datetime.now(UTC):%Y-%m-%d}: "
            f"{WORKERS} workers, a lease of {LEASE_S:g} s, {KILLS} kills over a pass of "
            f"{self.lasted_s:.0f} s. "
            f"{self.requests:,} requests were billed in {self.batches} batches; {found}. "
            f"{len(self.takeovers)} of the killed had work in hand; the others had taken it over "
            f"after {p95:.1f} s (p95, most {max(self.takeovers, default=0):.1f} s)."
        )


def torture(folder: Path, url: str) -> Outcome:
    """Run a pass while workers are killed."""
    sandbox = start_sandbox(latency_s=LATENCY_S)
    fleet = Fleet(folder, url, sandbox, lease_s=LEASE_S)
    try:
        began = time.monotonic()
        for number in range(WORKERS):
            fleet.start(number)
        fleet.operator.add_palettes(PALETTES)
        fleet.operator.run("tag", "--runs", str(RUNS))
        takeovers = kill_at_random(fleet, KILLS, random.Random(SEED))  # noqa: S311 - repeatable
        until(fleet.is_done, 600)
        ledger = sandbox.ledger()
        return Outcome(
            ledger["requests_billed"],
            len(ledger["batches"]),
            takeovers,
            find_faults(fleet),
            time.monotonic() - began,
        )
    finally:
        fleet.stop()
        sandbox.stop()


def main() -> int:
    """Run it, print it, write the page; 1 when an invariant is broken."""
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        outcome = torture(Path(folder), server.create("fleet"))
    print(outcome.describe())
    head, _, rest = PAGE.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    if tail:
        PAGE.write_text(f"{head}{BEGIN}\n{outcome.describe()}\n{END}{tail}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
