"""Shapes of charts: numbers become paths and cells; templates draw them as SVG within tables."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

_STEPS = (1, 2, 2.5, 5, 10)
_INTERVALS = 4
_MOST_POINTS = 300

Point = tuple[float, float]


class Curve(NamedTuple):
    """A line in a square of 100 x 100, its origin at the lower left, y growing upwards.

    Attributes:
        line: path data of the line.
        area: path data of what lies below it.
        dots: path data of a dot at each point; "" where there are too many to tell apart.
        ticks: values of y from the top to 0, evenly spaced.
    """

    line: str
    area: str
    dots: str
    ticks: Sequence[float]


def curve(points: Sequence[Point], top: float | None = None) -> Curve:
    """Draw points, whose x must not fall.

    Args:
        points: at least one; with equal x, the last counts when there are very many.
        top: the greatest y; a round number above all points by default.
    """
    ticks = ticks_up_to(max(y for _, y in points) if top is None else top)
    first, last = points[0][0], points[-1][0]
    width, height = last - first, ticks[0]
    places = [
        (_cut(100 * (x - first) / width) if width else 50.0, _cut(100 - 100 * y / height))
        for x, y in _thinned(points)
    ]
    line = " ".join(f"{'L' if number else 'M'}{x:g} {y:g}" for number, (x, y) in enumerate(places))
    area = f"{line} L{places[-1][0]:g} 100 L{places[0][0]:g} 100z"
    # A line without length shows its round ends: a dot that no stretching can flatten.
    dots = " ".join(f"M{x:g} {y:g}h0" for x, y in places) if len(places) <= 40 else ""
    return Curve(line, area, dots, ticks)


def ticks_up_to(most: float) -> list[float]:
    """Return evenly spaced round numbers from one that is not below `most` down to 0."""
    if most <= 0:
        return [1.0, 0.0]
    rough = most / _INTERVALS
    power = 10.0 ** floor(log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
    count = max(ceil(most / step - 1e-9), 1)
    return [round(step * number, 12) for number in range(count, -1, -1)]


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Leave points out that nobody could tell apart; the first and the last stay."""
    stride = ceil(len(points) / _MOST_POINTS)
    return [points[0], *points[1:-1][stride - 1 :: stride], *points[1:][-1:]]


def _cut(value: float) -> float:
    return round(min(max(value, 0.0), 100.0), 2)


class Cell(NamedTuple):
    """A cell of a heat map.

    Attributes:
        heat: from 0 to 1.
        text: what is written in it.
        hint: the same in more words.
    """

    heat: float
    text: str
    hint: str


class Matrix(NamedTuple):
    """A heat map, which is a table.

    Attributes:
        columns: their heads.
        rows: heads and cells; None where there is nothing to say.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]


def matrix(cells: Mapping[tuple[str, str], Cell], columns: Sequence[str] | None = None) -> Matrix:
    """Arrange cells by (row, column).

    Args:
        cells: those that there are.
        columns: all heads in order; by default those of the cells, sorted.
    """
    rows = sorted({row for row, _ in cells})
    columns = sorted({column for _, column in cells}) if columns is None else columns
    return Matrix(
        columns, [(row, [cells.get((row, column)) for column in columns]) for row in rows]
    )
