"""How long an operator waits for `--help`, beside an interpreter that does nothing."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cost import best, run_command
from benchmarks.report import Figure

_ROUNDS = 10
_HELP = [str(Path(sys.executable).with_name("grabient-ops")), "--help"]
_NOTHING = [sys.executable, "-c", "pass"]


def figures() -> Iterator[Figure]:
    """Start both in turn, several times, and compare the best of each."""
    pairs = [(run_command(_HELP), run_command(_NOTHING)) for _ in range(_ROUNDS)]
    ours, nothing = (best(costs) for costs in zip(*pairs, strict=True))
    yield Figure(
        f"`grabient-ops --help`, wall, best of {_ROUNDS}",
        f"{ours.wall_s:.2f} s",
        f"`python -c pass`, {nothing.wall_s:.3f} s",
        f"{ours.wall_s / nothing.wall_s:.1f}x",
        "< 0.3 s",
    )
