from typing import TYPE_CHECKING, Any

import pytest

from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.tagged import TaggedPalette, palettes_by_tag
from grabient_ops.analytics.warehouse import open_warehouse

if TYPE_CHECKING:
    from tests.analytics.conftest import Home


@pytest.fixture
def said(home: "Home") -> "Home":
    """`calm` is said of half, of all, and of none."""
    home.put(
        home.row(1, seed="half", tags={"mood": ["Calm"], "style": ["calm"]}),
        home.row(2, seed="half", run_number=2, tags={"mood": ["wild"]}),
        home.row(3, seed="All", tags={"mood": ["calm"]}),
        home.row(4, seed="All", run_number=2, tags=None, error_class="refused"),
        home.row(5, seed="none", tags={"mood": ["wild"]}),
    )
    home.sync()
    return home


def _ask(home: "Home", tag: str, **choice: Any) -> list[TaggedPalette]:  # noqa: ANN401 - passed on
    with open_warehouse(home.lake) as warehouse:
        return palettes_by_tag(warehouse, tag, **choice)


def test_those_that_agree_most_come_first_and_failures_are_no_answers(said: "Home") -> None:
    assert _ask(said, " CALM ") == [("All", 1, 1), ("half", 1, 2)]


def test_seeds_are_chosen_case_aside(said: "Home") -> None:
    assert _ask(said, "calm", text="AL") == [("All", 1, 1), ("half", 1, 2)]
    assert _ask(said, "calm", text="ALL") == [("All", 1, 1)]


def test_only_chosen_answers_count(said: "Home") -> None:
    assert _ask(said, "calm", selection=Selection(runs=[1])) == [("All", 1, 1), ("half", 1, 1)]


@pytest.mark.parametrize("tag", ["", "\0", "'; DROP TABLE tags", "unheard"])
def test_a_tag_that_nobody_gave_finds_nothing(said: "Home", tag: str) -> None:
    assert _ask(said, tag) == []
