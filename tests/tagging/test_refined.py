import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.prompts import refinement_schema
from grabient_ops.tagging.refined import (
    MAX_SENTENCE_CHARS,
    MOST_DROPPED,
    NOT_A_WORD,
    ParsedRefinement,
    parse_refinement,
)
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, HARMONIES, LIST_FIELDS

Write = Callable[..., str]
DROPPED = [{"tag": "beautiful", "reason": "fits any gradient"}]
SENTENCE = "A cool gradient from navy to blue, calm as the sea at midnight."
MORE = {"dropped": DROPPED, "sentence": SENTENCE}


@pytest.fixture
def say(clean: dict[str, Any]) -> Write:
    """Return a function that writes a clean refinement as JSON, with some keys changed."""
    return lambda **changed: json.dumps(clean | MORE | changed, ensure_ascii=False)


def test_a_clean_refinement_is_taken_as_it_is(say: Write, clean: dict[str, Any]) -> None:
    parsed = parse_refinement(say(), "end_turn")

    assert parsed == ParsedRefinement(clean, dropped=DROPPED, sentence=SENTENCE, stage="strict")
    assert parsed.tags
    assert tuple(parsed.tags) == FIELDS


@pytest.mark.parametrize(
    ("dress", "stage"),
    [
        ("```json\n{}\n```", "stripped"),
        ("<think>navy, so {{cool}}</think>\n{}", "stripped"),
        ("Here are the canonical tags:\n{}\nI dropped one.", "balanced"),
        ('{{"tags": {}}}', "strict"),
        ("[{}]", "strict"),
    ],
)
def test_what_is_around_the_answer_does_not_matter(
    say: Write, clean: dict[str, Any], dress: str, stage: str
) -> None:
    parsed = parse_refinement(dress.format(say()))

    assert (parsed.stage, parsed.error_class) == (stage, None)
    assert parsed.tags == clean
    assert parsed.dropped == DROPPED
    assert parsed.sentence == SENTENCE


def test_a_broken_answer_is_repaired_when_all_ten_fields_are_in_it(
    say: Write, clean: dict[str, Any]
) -> None:
    parsed = parse_refinement(say().replace('"art deco"', 'art deco"'))

    assert parsed.stage == "repaired"
    assert parsed.tags
    assert parsed.tags["associations"] == clean["associations"]


def test_closed_lists_keep_their_words_in_order_and_the_rest_is_dropped(say: Write) -> None:
    parsed = parse_refinement(
        say(
            dominant_colors=["Navy", "turquoise", "grey", "navy", "Rose Gold"],
            harmony=["Split Complementary", "square", "analogous", "monochrome"],
        )
    )

    assert parsed.tags
    assert parsed.tags["dominant_colors"] == ["navy", "gray"]
    assert parsed.tags["harmony"] == ["split-complementary", "analogous", "monochromatic"]
    ours = [entry["tag"] for entry in parsed.dropped if entry["reason"] == NOT_A_WORD]
    assert ours == ["turquoise", "Rose Gold", "square"]


@pytest.mark.parametrize(
    ("value", "word", "dropped"),
    [
        ("warm", "warm", []),
        ("Balanced", "neutral", []),
        ("lukewarm", None, ["lukewarm"]),
        (["cool"], "cool", []),
        (["cool", "warm"], None, []),
        (None, None, []),
        (7, None, []),
    ],
)
def test_a_category_holds_a_word_or_is_listed_as_ambiguous(
    say: Write, value: object, word: str | None, dropped: list[str]
) -> None:
    parsed = parse_refinement(say(temperature=value))

    assert parsed.tags
    assert parsed.tags["temperature"] == word
    assert parsed.ambiguous == (() if word else ("temperature",))
    assert [entry["tag"] for entry in parsed.dropped[1:]] == dropped


def test_a_missing_category_is_ambiguous(clean: dict[str, Any]) -> None:
    del clean["contrast"], clean["seasonal"]

    parsed = parse_refinement(json.dumps(clean))

    assert parsed.tags
    assert parsed.ambiguous == ("contrast",)
    assert parsed.tags["seasonal"] == []
    assert (parsed.dropped, parsed.sentence) == ([], None)


@pytest.mark.parametrize(
    ("dropped", "read"),
    [
        ([{"tag": "sea", "reason": "said\n already"}], [{"tag": "sea", "reason": "said already"}]),
        (["sea", "凉"], [{"tag": "sea", "reason": ""}, {"tag": "凉", "reason": ""}]),
        ({"sea": "said already"}, [{"tag": "sea", "reason": "said already"}]),
        ([["sea", "said already"]], [{"tag": "sea", "reason": "said already"}]),
        ([{"tag": "sea", "reason": None}], [{"tag": "sea", "reason": ""}]),
        ([{"tag": 5}, None, 7, [], {}, {"reason": "x"}, "", {"tag": ""}], []),
        ("sea", []),
        (None, []),
    ],
)
def test_what_was_dropped_is_read_in_several_forms(
    say: Write, dropped: object, read: list[dict[str, str]]
) -> None:
    parsed = parse_refinement(say(dropped=dropped))

    assert parsed.tags
    assert parsed.dropped == read


def test_dropped_and_sentence_are_bounded_and_clean(say: Write) -> None:
    parsed = parse_refinement(
        say(
            dropped=[{"tag": "x" * 900, "reason": "y" * 900}, *["sea"] * 900],
            sentence=" A\x00 calm\n\tsea \ud800 " + "🌊" * 900,
        )
    )

    assert len(parsed.dropped) == MOST_DROPPED
    assert {len(value) for value in parsed.dropped[0].values()} == {100, 200}
    assert parsed.sentence
    assert parsed.sentence.startswith("A calm sea ")
    assert len(parsed.sentence) == MAX_SENTENCE_CHARS
    parsed.sentence.encode()


@pytest.mark.parametrize("sentence", [None, "", "  ", 5, ["a"]])
def test_an_absent_sentence_is_none(say: Write, sentence: object) -> None:
    assert parse_refinement(say(sentence=sentence)).sentence is None


@pytest.mark.parametrize(
    ("text", "reason", "error_class"),
    [
        ("", None, ErrorClass.UNPARSABLE),
        ("", "max_tokens", ErrorClass.TRUNCATED),
        ("I cannot do that.", "refusal", ErrorClass.REFUSED),
        ("{}", "SAFETY", ErrorClass.REFUSED),
        ("The tags are calm and cool.", "stop", ErrorClass.UNPARSABLE),
        ('{"mood": ["calm"], "style": ["pop"]}', "stop", ErrorClass.UNPARSABLE),
        ('{"mood": ["calm"], "style": ["po', "length", ErrorClass.TRUNCATED),
        (json.dumps(refinement_schema()), "stop", ErrorClass.UNPARSABLE),
    ],
)
def test_what_holds_no_canonical_tags_is_an_error(
    text: str, reason: str | None, error_class: ErrorClass
) -> None:
    parsed = parse_refinement(text, reason)

    assert parsed.tags is None
    assert parsed.error_class is error_class
    assert parsed.error
    assert parsed.error.endswith(".")


def test_a_canonical_answer_needs_a_mood_a_style_or_an_association(say: Write) -> None:
    nothing: dict[str, Any] = {"mood": [], "style": [], "associations": ["2-5 things", "#1b2a5e"]}

    assert parse_refinement(say(**nothing)).error_class is ErrorClass.UNPARSABLE
    for field in nothing:
        assert parse_refinement(say(**nothing | {field: ["calm"]})).error_class is None


@pytest.mark.parametrize("reason", ["length", None])
def test_a_cut_answer_is_canonical_only_when_every_field_came_whole(
    say: Write, clean: dict[str, Any], reason: str | None
) -> None:
    text = say()
    whole = text.index(', "dropped"')

    for end in range(len(text)):
        parsed = parse_refinement(text[:end], reason)
        if end < whole:
            assert parsed.tags is None, text[:end]
        else:
            assert parsed.tags == clean
            assert {entry["tag"] for entry in parsed.dropped} <= {"beautiful"}
            assert parsed.sentence in (None, SENTENCE)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*FIELDS, *MORE, "tag", "reason"]) | st.text(), inner)
    ),
    max_leaves=12,
)


@given(st.text() | json_values.map(json.dumps), st.none() | st.text(max_size=8))
def test_no_text_makes_the_parser_stumble(text: str, reason: str | None) -> None:
    parsed = parse_refinement(text, reason)

    assert (parsed.tags is None) == (parsed.error_class is not None) == (parsed.error is not None)


@given(st.fixed_dictionaries(dict.fromkeys((*FIELDS, *MORE), json_values)))
def test_whatever_the_values_are_the_tags_are_canonical(answer: dict[str, Any]) -> None:
    parsed = parse_refinement(json.dumps(answer))

    if parsed.tags is None:
        return
    assert tuple(parsed.tags) == FIELDS
    for field, words in CATEGORIES.items():
        assert parsed.tags[field] in {*words, None}
        assert (parsed.tags[field] is None) == (field in parsed.ambiguous)
    for field in LIST_FIELDS:
        given_tags = parsed.tags[field]
        assert isinstance(given_tags, list)
        assert len({tag.casefold() for tag in given_tags}) == len(given_tags)
    assert set(parsed.tags["harmony"] or ()) <= set(HARMONIES)
    assert all(set(entry) == {"tag", "reason"} and entry["tag"] for entry in parsed.dropped)
    json.dumps(parsed.dropped, ensure_ascii=False).encode()
