"""How soon a commit of another process is on the screen, and what an update costs."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.arena import Home
from benchmarks.live_viewers import Watched, chromium, streams
from benchmarks.report import Figure

_PALETTES = 200
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CASES = ((1, 10, 100), (20, 10, 100), (20, 200, 1000))
"""Streams beside the browser, commits per second, commits."""


class Dashboard(NamedTuple):
    """A server in a process of its own."""

    home: Home
    url: str
    process: "subprocess.Popen[str]"

    def cpu_s(self) -> float:
        """Return the processor time that it has used so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS_PER_S


def figures() -> Iterator[Figure]:
    """Yield the figures for few and many viewers, at a steady pace and in a storm."""
    first = 1
    with TemporaryDirectory(prefix="live-") as folder, _served(Path(folder) / "home") as dashboard:
        for viewers, rate, count in _CASES:
            before = dashboard.cpu_s()
            commits, watched, drawn = asyncio.run(_watch(dashboard, viewers, rate, first, count))
            cpu_s = dashboard.cpu_s() - before
            first += count
            what = f"{rate} commits/s, {viewers} streams and a Chromium"
            yield _latency(f"{what}: commit -> event", commits, watched, "")
            yield _latency(f"{what}: commit -> pixel", commits, [drawn], "p95 <= 100 ms")
            yield _cost(f"{what}: an update", cpu_s, watched, count)


async def _watch(
    dashboard: Dashboard, viewers: int, rate: int, first: int, count: int
) -> tuple[list[tuple[int, float]], list[Watched], Watched]:
    command = ["-m", "benchmarks.live_writer", str(rate), str(first), str(count)]
    async with streams(dashboard.url, viewers) as watched, chromium(dashboard.url) as drawn:
        writer = await asyncio.create_subprocess_exec(
            sys.executable, *command,
            env=dashboard.home.environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await writer.communicate()
        await asyncio.sleep(0.5)
    return [(number, at) for number, at in json.loads(said)], watched, drawn


def _latency(
    what: str, commits: list[tuple[int, float]], watched: list[Watched], target: str
) -> Figure:
    waits = [wait for viewer in watched for wait in viewer.latencies_ms(commits)]
    p50, p95 = quantiles(waits, n=100)[49], quantiles(waits, n=100)[94]
    return Figure(what, f"p50 {p50:.0f} ms", "", f"p95 {p95:.0f} ms", target)


def _cost(what: str, cpu_s: float, watched: list[Watched], count: int) -> Figure:
    updates = max(len(viewer.seen) for viewer in watched)
    size = max(viewer.size for viewer in watched) / updates
    cpu_ms = cpu_s / updates * 1000
    return Figure(what, f"{cpu_ms:.1f} ms of CPU", f"{count} commits", f"{size:,.0f} bytes")


@contextmanager
def _served(path: Path) -> Iterator[Dashboard]:
    home = Home(path, {})
    home.add_palettes(_PALETTES)
    process = home.start("serve", "--no-worker", "--port", "0", "--json")
    line = process.stdout.readline() if process.stdout else ""
    try:
        yield Dashboard(home, json.loads(line)["url"], process)
    finally:
        process.terminate()
        process.communicate()
