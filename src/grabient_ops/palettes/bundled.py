"""Palettes that come with the package, so that a demo needs no import."""

from functools import cache
from importlib.resources import files


@cache
def _palettes() -> dict[str, str]:
    """Read names by seed, in the file's order."""
    text = files("grabient_ops.palettes").joinpath("bundled.txt").read_text(encoding="utf-8")
    rows = (line.split("#") for line in text.splitlines())
    return {seed.strip(): name.strip() for seed, name in rows if seed}


def bundled_seeds() -> list[str]:
    """Give the seeds of the bundled palettes, legacy and aligned mixed, always in one order."""
    return list(_palettes())


def bundled_names() -> dict[str, str]:
    """Give a descriptive English name ("deep sea trench") for each bundled seed."""
    return dict(_palettes())
