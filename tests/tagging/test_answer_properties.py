import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.tagging.answers import parse_answer
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, LIST_FIELDS

letters_and_emoji = st.characters(categories=["L", "So"])
tags = st.text(letters_and_emoji | st.sampled_from(" -'&."), min_size=1, max_size=30).map(
    lambda text: f"m{text}m"
)
answers = st.fixed_dictionaries(
    {
        field: st.sampled_from([*CATEGORIES[field], None])
        if field in CATEGORIES
        else st.lists(tags, max_size=8, unique_by=str.casefold)
        for field in FIELDS
    }
)
json_like = st.lists(
    st.sampled_from([*'{}[]",:\\\n', *(f'"{field}":' for field in FIELDS), "```", "<think>", "凉"])
    | st.text(max_size=3)
).map("".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner),
    max_leaves=12,
)


def assert_storable(text: str) -> None:
    answer = parse_answer(text)

    assert (answer.tags is None) == (answer.error_class is not None) == (answer.error is not None)
    if answer.tags is None:
        return
    assert tuple(answer.tags) == FIELDS
    for field in LIST_FIELDS:
        values = answer.tags[field]
        assert isinstance(values, list)
        assert all(tag.encode().strip() and "\0" not in tag for tag in values)
    assert all(answer.tags[field] in {None, *CATEGORIES[field]} for field in CATEGORIES)


@given(answers)
def test_an_answer_of_our_shape_comes_back_whole(answer: dict[str, Any]) -> None:
    parsed = parse_answer(json.dumps(answer, ensure_ascii=False))

    assert parsed.tags == (answer if any(answer.values()) else None)
    assert parsed.stage == "strict"


@given(st.text() | json_like)
def test_any_text_gives_tags_or_a_reason(text: str) -> None:
    assert_storable(text)


@given(st.dictionaries(st.sampled_from(FIELDS), json_values, min_size=8))
def test_any_json_gives_storable_tags_or_a_reason(value: dict[str, Any]) -> None:
    assert_storable(json.dumps(value))


@given(answers.filter(lambda answer: any(answer.values())), st.integers(0, 400), json_like)
def test_noise_in_an_answer_never_escapes(answer: dict[str, Any], at: int, noise: str) -> None:
    text = json.dumps(answer)

    assert_storable(text[:at] + noise + text[at:])
