"""Puts what was seen between the marks of `docs/reliability.md`."""

import os
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path("docs/reliability.md")


def publish(mark: str, text: str) -> None:
    """Replace what stands between `<!-- mark: begin -->` and `<!-- mark: end -->`."""
    begin, end = (f"<!-- {mark}: {word} -->" for word in ("begin", "end"))
    head, has_begin, rest = PAGE.read_text().partition(begin)
    _, has_end, tail = rest.partition(end)
    if not (has_begin and has_end):
        raise ValueError(f"{PAGE} has no marks for {mark}")
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def made_by(seed: int) -> str:
    """Say how and when; the load is that of the moment, after the run."""
    return (
        f"Made by `make torture` on {datetime.now(UTC):%Y-%m-%d} with seed {seed}, on "
        f"{os.cpu_count()} cores at a load of {os.getloadavg()[0]:.0f}"
    )
