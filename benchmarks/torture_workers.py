"""Three workers on one PostgreSQL under random kills: what they buy, and how fast others go on."""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from benchmarks.arena import start_sandbox
from benchmarks.fleet import Fleet, kill_at_random, until
from benchmarks.torture_oracle import find_faults

WORKERS = 3
KILLS = 40
PALETTES, RUNS = 35, 6
LATENCY_S = 30.0
LEASE_S = 5.0
_PATIENCE_S = 900.0


@dataclass(frozen=True)
class Outcome:
    """What the kills have led to.

    Attributes:
        kills: how many there were.
        requests: how many the providers billed.
        batches: how many were bought.
        takeovers: seconds from a kill until no workflow was left to the dead worker.
        faults: promises that were broken.
        lasted_s: the pass.
    """

    kills: int
    requests: int
    batches: int
    takeovers: list[float]
    faults: list[str]
    lasted_s: float

    def describe(self) -> str:
        """Return a paragraph without its beginning."""
        p95 = (
            quantiles(self.takeovers, n=20, method="inclusive")[-1]
            if len(self.takeovers) > 1
            else 0.0
        )
        found = "**" + "; ".join(self.faults) + "**" if self.faults else "all invariants hold"
        return (
            f"{WORKERS} workers, a lease of {LEASE_S:g} s, {self.kills} kills over a pass of "
            f"{self.lasted_s:.0f} s. "
            f"{self.requests:,} requests were billed in {self.batches} batches; {found}. "
            f"{len(self.takeovers)} of the killed had work in hand; the others had taken it over "
            f"after {p95:.1f} s (p95, most {max(self.takeovers, default=0):.1f} s)."
        )


def torture(folder: Path, url: str, kills: int, seed: int) -> Outcome:
    """Run a pass while workers are killed; the fewer kills, the smaller the pass."""
    sandbox = start_sandbox(latency_s=LATENCY_S * min(1, kills / KILLS), seed=seed)
    fleet = Fleet(folder, url, sandbox, lease_s=LEASE_S)
    try:
        began = time.monotonic()
        for number in range(WORKERS):
            fleet.start(number)
        fleet.operator.add_palettes(max(1, PALETTES * min(kills, KILLS) // KILLS))
        fleet.operator.run("tag", "--runs", str(RUNS))
        takeovers = kill_at_random(fleet, kills, random.Random(seed))  # noqa: S311 - repeatable
        until(fleet.is_done, _PATIENCE_S)
        ledger = sandbox.ledger()
        return Outcome(
            kills,
            ledger["requests_billed"],
            len(ledger["batches"]),
            takeovers,
            find_faults(fleet),
            time.monotonic() - began,
        )
    finally:
        fleet.stop()
        sandbox.stop()
