"""Numbers become paths and cells that say the same."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.web.charts import Cell, curve, matrix, ticks_up_to


def _points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.e+-]+) ([\d.e+-]+)", path)]


def test_a_curve_goes_from_the_lower_left_to_the_upper_right() -> None:
    drawn = curve([(10.0, 0.0), (15.0, 1.0), (20.0, 4.0)])

    assert _points(drawn.line) == [(0, 100), (50, 75), (100, 0)]
    assert drawn.area == f"{drawn.line} L100 100 L0 100z"
    assert drawn.ticks == [4, 3, 2, 1, 0]
    assert drawn.dots == "M0 100h0 M50 75h0 M100 0h0"


def test_one_point_stands_in_the_middle() -> None:
    assert _points(curve([(3.0, 1.0)], top=1.0).line) == [(50, 0)]


def test_values_beyond_the_scale_stay_in_the_picture() -> None:
    assert _points(curve([(0.0, -1.0), (1.0, 9.0)], top=1.0).line) == [(0, 100), (100, 0)]


def test_many_points_are_thinned_between_the_first_and_the_last() -> None:
    drawn = curve([(float(x), float(x)) for x in range(10_000)])
    points = _points(drawn.line)

    assert len(points) <= 302
    assert (points[0], points[-1]) == ((0, 100), (100, 0.01))
    assert drawn.dots == ""


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0.0, [1, 0]),
        (1.0, [1, 0.75, 0.5, 0.25, 0]),
        (0.7866, [0.8, 0.6, 0.4, 0.2, 0]),
        (1234.0, [1500, 1000, 500, 0]),
        (0.0042, [0.006, 0.004, 0.002, 0]),
    ],
)
def test_a_scale_has_round_numbers(most: float, ticks: list[float]) -> None:
    assert ticks_up_to(most) == pytest.approx(ticks)


@given(st.floats(1e-9, 1e9))
def test_a_scale_reaches_over_everything_and_not_far_beyond(most: float) -> None:
    ticks = ticks_up_to(most)
    steps = [above - below for above, below in pairwise(ticks)]

    assert most <= ticks[0] * (1 + 1e-6)
    assert ticks[0] <= 2.5 * most
    assert ticks[-1] == 0
    assert 2 <= len(ticks) <= 6
    assert steps == pytest.approx([steps[0]] * len(steps))


def test_a_matrix_has_a_place_for_what_is_missing() -> None:
    cell = Cell(0.5, "50 %", "half")

    assert matrix({("b", "y"): cell, ("a", "x"): cell}) == (
        ["x", "y"],
        [("a", [cell, None]), ("b", [None, cell])],
    )
    assert matrix({("a", "x"): cell}, ["z", "x"]).rows == [("a", [None, cell])]
