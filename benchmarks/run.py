"""Measures everything that has a target, prints ratios and writes `docs/benchmarks.md`."""

import sys
from collections.abc import Callable, Iterator

from benchmarks import (
    adaptive,
    ingest,
    live,
    prepare,
    search,
    soak,
    startup,
    warehouse,
    whole_pass,
)
from benchmarks.report import PAGE, Figure, describe_machine, write_page

SECTIONS: dict[str, Callable[[], Iterator[Figure]]] = {
    "prepare": prepare.figures,
    "ingest": ingest.figures,
    "whole_pass": whole_pass.figures,
    "warehouse": warehouse.figures,
    "adaptive": adaptive.figures,
    "search": search.figures,
    "live": live.figures,
    "startup": startup.figures,
}
ALONE: dict[str, Callable[[], Iterator[Figure]]] = {"soak": soak.figures}
"""What takes too long to be run with all others; each has a table of its own on the page."""


def main(names: list[str]) -> int:
    """Run the named sections, or all; only a run of all, or one of `ALONE`, writes the page."""
    machine = describe_machine()
    print(machine, flush=True)
    figures = []
    for name in names or SECTIONS:
        for figure in {**SECTIONS, **ALONE}[name]():
            figures.append(figure)
            print(figure.line(), flush=True)
    if not names:
        write_page(machine, figures)
        print(f"table in {PAGE}")
    elif names[0] in ALONE and len(names) == 1:
        write_page(machine, figures, names[0])
        print(f"table in {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
