"""A string that was cut is never a tag, and an array that was cut is never a vote."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.tagging.answers import parse_answer
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, LIST_FIELDS

Write = Callable[..., str]

CUT_REASONS = ["length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded"]

anything = st.text(max_size=12)
answers = st.fixed_dictionaries(
    {
        field: st.sampled_from(CATEGORIES[field]) | st.lists(st.sampled_from(CATEGORIES[field]))
        if field in CATEGORIES
        else st.lists(anything, max_size=4) | anything
        for field in FIELDS
    }
)


def assert_no_stump(cut: dict[str, Any], full: dict[str, Any]) -> None:
    for field in LIST_FIELDS:
        assert set(cut[field]) <= set(full[field])
    for field in CATEGORIES:
        assert cut[field] in {None, full[field]}


@pytest.mark.parametrize("reason", CUT_REASONS)
def test_a_late_cut_keeps_what_was_finished(write: Write, reason: str) -> None:
    answer = parse_answer(write()[:-10], reason)

    assert answer.tags is not None
    assert answer.tags["associations"] == ["sea", "🌊"]
    assert (answer.error_class, answer.stage) == (None, "repaired")


@pytest.mark.parametrize("reason", CUT_REASONS)
@pytest.mark.parametrize("size", [0, 1, 20, 90])
def test_an_early_cut_is_truncated(write: Write, reason: str, size: int) -> None:
    answer = parse_answer(write()[:size], reason)

    assert answer.tags is None
    assert answer.error_class is ErrorClass.TRUNCATED


def test_a_limit_reached_after_the_answer_costs_nothing(
    clean: dict[str, Any], write: Write
) -> None:
    assert parse_answer(write() + "\n\nThe palette sug", "length").tags == clean


def test_thoughts_that_used_up_the_tokens_are_truncated() -> None:
    answer = parse_answer('<think>The JSON could be {"mood": ["calm"], "sty', "length")

    assert answer.error_class is ErrorClass.TRUNCATED


def test_a_cut_array_is_no_vote(clean: dict[str, Any]) -> None:
    order = [*(field for field in FIELDS if field != "temperature"), "temperature"]
    text = json.dumps({field: clean[field] for field in order} | {"temperature": ["warm", "cool"]})

    answer = parse_answer(text[: text.index(', "cool"')], "length")

    assert answer.tags is not None
    assert answer.tags["temperature"] is None
    assert answer.ambiguous == ("temperature",)


layouts = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 2])}
)


@given(answers, layouts, st.data())
def test_no_cut_of_a_valid_answer_makes_a_tag(
    answer: dict[str, Any], layout: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(answer, **layout)
    full = parse_answer(text).tags
    size = data.draw(st.integers(0, len(text)))

    for reason in ("length", None):
        cut = parse_answer(text[:size], reason)
        if cut.tags is not None:
            assert full is not None
            assert_no_stump(cut.tags, full)


@pytest.mark.parametrize("broken", ['calm"', "calm", "'calm'", '"calm" "still"'])
def test_no_cut_of_a_broken_answer_makes_a_tag(write: Write, broken: str) -> None:
    text = write().replace('"calm"', broken)
    full = parse_answer(text).tags
    assert full is not None

    for size in range(len(text)):
        cut = parse_answer(text[:size], "length")
        if cut.tags is not None:
            assert_no_stump(cut.tags, full)
