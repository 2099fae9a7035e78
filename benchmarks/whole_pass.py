"""A whole tagging pass as an operator runs it: plan, submit, wait, collect, store."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.arena import COMMAND, Home, start_sandbox
from benchmarks.cost import Cost, run_command
from benchmarks.report import Figure

_MODEL = "openai/gpt-4o-mini"
_FEW, _MANY = 10_000, 100_000
_LATENCY_S = 0.5


def figures() -> Iterator[Figure]:
    """Run a pass of ordinary size, and a large one for its memory."""
    few, many = run_pass(_FEW), run_pass(_MANY)
    what = f"`tag --model {_MODEL} --wait`, {_FEW:,} palettes"
    latency = f"the sandbox's latency, {_LATENCY_S} s"
    yield Figure(
        f"{what}, wall", f"{few.wall_s:.1f} s", latency, f"{few.wall_s / _LATENCY_S:.0f}x", "< 10 s"
    )
    yield Figure(
        f"{what}, CPU without the sandbox's",
        f"{few.cpu_s:.1f} s",
        f"{_MANY:,} palettes, {many.cpu_s:.1f} s",
        f"{many.cpu_s / few.cpu_s:.1f}x for {_MANY // _FEW}x the work",
        "< 4 s",
    )
    yield Figure(
        f"{what}, peak memory",
        f"{few.peak_mb:.0f} MB",
        f"{_MANY:,} palettes, {many.peak_mb:.0f} MB",
        f"{many.peak_mb / few.peak_mb:.2f}x for {_MANY // _FEW}x the work",
        "< 150 MB, flat",
    )


def run_pass(palettes: int) -> Cost:
    """Tag so many palettes with one model against a fresh sandbox; return what our process took.

    Raises:
        RuntimeError: the pass left something undone.
    """
    sandbox = start_sandbox(latency_s=_LATENCY_S)
    try:
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home", sandbox.env)
            home.add_palettes(palettes)
            cost = run_command([*COMMAND, "tag", "--model", _MODEL, "--wait"], home.environment)
            run = home.json("status")["runs"][0]
    finally:
        sandbox.stop()
    if run["pending"] or run["succeeded"] + run["failed"] != palettes:
        raise RuntimeError(f"the pass left something undone: {run}")
    return cost
