"""Everything that may go wrong, seeded; writes the tables of `docs/reliability.md`.

`make torture ARGS="--seed 3 --kills 10 --only days"`: other instants, fewer kills, one part.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import torture_faults, torture_workers
from benchmarks.postgres import running_server
from benchmarks.torture_days import DAYS, Outcome, Trial
from benchmarks.torture_page import PAGE, made_by, publish

SEED = 7


def faults(options: argparse.Namespace, folder: Path) -> bool:
    """Eight faults on four providers; return whether every cell is right."""
    outcomes: dict[tuple[str, str], torture_faults.Outcome] = {}
    for provider in torture_faults.MODELS:
        for fault in torture_faults.FAULTS:
            place = folder / f"{provider}-{len(outcomes)}"
            outcome = torture_faults.run_case(provider, fault, place, options.seed)
            outcomes[provider, fault.label] = outcome
            print(f"{provider:10} {fault.label:15} {outcome.cell()}", flush=True)
    head = f"{made_by(options.seed)}; {torture_faults.PALETTES} palettes per cell."
    publish("torture", "\n".join([head, "", *torture_faults.table(outcomes)]))
    return all(outcome.is_right for outcome in outcomes.values())


def workers(options: argparse.Namespace, folder: Path) -> bool:
    """Three workers, killed at random; return whether all invariants hold."""
    with running_server() as server:
        url = server.create("fleet")
        outcome = torture_workers.torture(folder, url, options.kills, options.seed)
    print(outcome.describe(), flush=True)
    publish("workers", f"{made_by(options.seed)}: {outcome.describe()}")
    return not outcome.faults


def days(options: argparse.Namespace, folder: Path) -> bool:
    """Bad days, a pass each; return whether all invariants hold in every one."""
    outcomes: dict[str, Outcome] = {}
    with running_server() as server:
        for day in DAYS:
            outcome = day.hurt(Trial(folder, server, options.seed))
            outcomes[day.name] = outcome
            print(f"{day.name:42} {outcome}", flush=True)
    publish("days", "\n".join([f"{made_by(options.seed)}.", "", *_days_table(outcomes)]))
    return not any(outcome.faults for outcome in outcomes.values())


def _days_table(outcomes: Mapping[str, Outcome]) -> list[str]:
    rows = [
        f"| {name} | {o.told} | {o.batches} | {o.requests} | {o.lasted_s:.0f} | "
        f"{'**' + '; '.join(o.faults) + '**' if o.faults else 'all hold'} |"
        for name, o in outcomes.items()
    ]
    head = "| bad day | what happened | batches bought | requests billed | pass, s | invariants |"
    return [head, "|---|---|---|---|---|---|", *rows]


PARTS: Mapping[str, Callable[[argparse.Namespace, Path], bool]] = {
    "faults": faults,
    "days": days,
    "workers": workers,
}


def main(words: Sequence[str]) -> int:
    """Run the parts, print and publish each; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="decides every instant")
    parser.add_argument("--kills", type=int, default=torture_workers.KILLS, help="of workers")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    options = parser.parse_args(words)
    is_right = True
    for name in options.only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            is_right = PARTS[name](options, Path(folder)) and is_right
    print(f"{'all promises were kept' if is_right else 'BROKEN PROMISES'}; tables in {PAGE}")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
