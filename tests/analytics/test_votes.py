"""Votes that are counted from the store's rows are those that the warehouse counts."""

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grabient_ops.analytics.questions.consensus import consensus
from grabient_ops.analytics.votes import Ballot, count_votes
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.tagging.vocabulary import FIELDS

if TYPE_CHECKING:
    from tests.analytics.conftest import Home

_SPELLING = st.sampled_from(["calm", "Calm", " calm  sea ", "", "\u0000", "海", "é", "e\u0301"])
_VALUE = st.one_of(
    _SPELLING, st.none(), st.just(7), st.lists(st.one_of(_SPELLING, st.just(7), st.none()))
)
_TAGS = st.dictionaries(st.sampled_from([*FIELDS, "else"]), _VALUE)


def _ballots(answers: list[Any]) -> list[Ballot]:
    return [Ballot(f"m{number % 2}", tags) for number, tags in enumerate(answers)]


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(_TAGS, min_size=1, max_size=6))
def test_the_warehouse_counts_the_same(home: "Home", answers: list[Any]) -> None:
    home.delete(range(1, 100))
    home.put(
        *(
            home.row(number + 1, seed="s", model=f"m{number % 2}", run_number=number, tags=tags)
            for number, tags in enumerate(answers)
        )
    )
    home.sync()
    with open_warehouse(home.lake) as warehouse:
        theirs = consensus(warehouse, "s")
    ours = count_votes("s", _ballots(answers))

    assert sorted(ours.tags) == sorted(theirs.tags)
    assert ours[:3] == theirs[:3]


def test_a_tag_counts_once_per_answer_however_it_is_spelled() -> None:
    counted = count_votes("s", _ballots([{"mood": ["Calm", "calm", " CALM "]}, {"mood": []}]))

    (tag,) = counted.tags
    assert (tag.tag, tag.votes, tag.responses, tag.models, tag.share) == ("calm", 1, 2, 1, 0.5)


def test_the_most_frequent_comes_first_within_its_field() -> None:
    answers = [{"style": ["b"], "mood": ["y", "x"]}, {"mood": ["y"], "temperature": "warm"}]
    counted = count_votes("s", _ballots(answers))

    assert [(tag.category, tag.tag) for tag in counted.tags] == [
        ("mood", "y"), ("mood", "x"), ("style", "b"), ("temperature", "warm"),
    ]  # fmt: skip


def test_nonsense_gives_no_votes_but_is_an_answer() -> None:
    counted = count_votes("s", _ballots([None, [], "calm", {"mood": "calm", "contrast": ["high"]}]))

    assert (counted.responses, counted.tags) == (4, [])


def test_no_answers_are_no_consensus() -> None:
    assert count_votes("s", []) == ("s", 0, 0, [])
