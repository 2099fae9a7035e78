"""Figures as lines on the screen and as a table in `docs/benchmarks.md`."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from shutil import which

PAGE = Path("docs/benchmarks.md")
_PACKAGES = ("numpy", "orjson", "sqlalchemy", "dbos")


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: what was done, and how it was measured.
        ours: what it took us, with unit.
        other: what it is compared with, with unit; "" when there is nothing.
        ratio: the one number to remember.
        target: what it should be; "" when there is none.
    """

    what: str
    ours: str
    other: str
    ratio: str
    target: str = ""

    def line(self) -> str:
        """Return the figure as one line of text."""
        against = f" against {self.other}" if self.other else ""
        target = f" (target {self.target})" if self.target else ""
        return f"{self.what}: {self.ours}{against} = {self.ratio}{target}"

    def row(self) -> str:
        """Return the figure as a row of the table."""
        cells = (self.what, self.ours, self.other, f"**{self.ratio}**", self.target)
        return f"| {' | '.join(cells)} |"


def describe_machine() -> str:
    """Say where and with what this is measured; call it before any load of our own."""
    load = os.getloadavg()[0]
    versions = [f"{name} {version(name)}" for name in _PACKAGES]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_cpu_model()}, {os.cpu_count()} cores, "
        f"load {load:.1f} at the start; Python {platform.python_version()}, "
        f"node {_node_version()}, {', '.join(versions)}"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _node_version() -> str:
    node = which("node")
    if node is None:
        return "missing"
    told = subprocess.run([node, "--version"], check=True, capture_output=True, text=True)
    return told.stdout.strip()


def write_page(machine: str, figures: Sequence[Figure], table: str = "bench") -> None:
    """Put a table between its marks on the page; what is written around them stays."""
    begin, end = f"<!-- {table}: begin -->", f"<!-- {table}: end -->"
    command = "make bench" if table == "bench" else f"make bench ARGS={table}"
    rows = [
        f"Made by `{command}` on {machine}; load {os.getloadavg()[0]:.1f} at the end.",
        "",
        "| what | ours | compared with | ratio | target |",
        "|---|---|---|---|---|",
        *(figure.row() for figure in figures),
    ]
    text = PAGE.read_text()
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    PAGE.write_text(f"{head}{begin}\n" + "\n".join(rows) + f"\n{end}{tail}")
