from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.tagging.coercion import Tags, to_tags
from grabient_ops.tagging.embed_text import FEWEST_WORDS, MOST_WORDS, count_words, embed_text
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, LIST_FIELDS

RICH: dict[str, Any] = {
    "mood": ["calm", "dreamy", "hopeful", "tender"],
    "style": ["art deco", "coastal minimalism", "watercolor"],
    "dominant_colors": ["navy", "blue", "teal"],
    "harmony": ["analogous"],
    "temperature": "cool",
    "contrast": "high",
    "brightness": "dark",
    "saturation": "vibrant",
    "seasonal": ["lunar new year", "winter"],
    "associations": ["tide pool", "midnight sky", "stained glass", "peacock", "lagoon", "凉"],
}

words = st.text(st.characters(categories=["L", "So", "Nd"]), min_size=1, max_size=12)
tags = st.lists(words, min_size=1, max_size=4).map(" ".join)
refined = st.fixed_dictionaries(
    {
        field: st.sampled_from([*CATEGORIES[field], None])
        if field in CATEGORIES
        else st.lists(tags, max_size=30)
        for field in FIELDS
    }
)


def test_the_order_is_fixed_and_the_tags_are_joined_by_blanks() -> None:
    assert embed_text(RICH) == (
        "cool high dark vibrant analogous navy blue teal calm dreamy hopeful tender "
        "art deco coastal minimalism watercolor lunar new year winter "
        "tide pool midnight sky stained glass peacock lagoon 凉"
    )


def test_a_tag_is_said_once_whatever_its_case_form_or_category() -> None:
    many = ["still water at night", "a train window in the rain", "Cool", "cafe\u0301"]
    repeated = {"mood": many, "style": [*RICH["associations"], "caf\u00e9"]}

    text = embed_text(RICH | repeated | {"contrast": "medium", "brightness": "medium"})

    assert text.startswith("cool medium vibrant ")
    assert text.casefold().count("cool") == text.count("medium") == text.count("tide pool") == 1
    assert "cafe\u0301" in text
    assert "caf\u00e9" not in text


def test_one_word_of_two_categories_is_unfolded_for_both() -> None:
    text = embed_text({"mood": ["calm"], "contrast": "medium", "brightness": "medium"})

    assert text.startswith("medium contrast ")
    assert "medium overall brightness" in text


def test_blanks_inside_a_tag_are_collapsed() -> None:
    assert "tide pool at night" in embed_text(RICH | {"associations": [" tide\tpool\n at  night "]})


@given(refined)
def test_the_text_is_bounded_deterministic_and_whole(tags: Tags) -> None:
    text = embed_text(tags)

    assert embed_text(dict(reversed(tags.items()))) == text
    assert count_words(text) <= MOST_WORDS
    assert text == " ".join(text.split())
    flat = [tag for value in tags.values() for tag in (value if isinstance(value, list) else [])]
    if sum(len(tag.split()) for tag in flat) == 0:
        return
    rest = text
    for tag in sorted({" ".join(tag.split()) for tag in flat}, key=len, reverse=True):
        rest = rest.replace(tag, " ")
    assert len(rest) < 400


def test_beyond_the_limit_whole_tags_go_from_the_end() -> None:
    things = [f"thing number {'abcdefghij'[i % 10] * (1 + i // 10)}" for i in range(100)]

    text = embed_text(RICH | {"associations": things})

    assert MOST_WORDS - 2 <= len(text.split()) <= MOST_WORDS
    kept = text[text.index("thing") :].removeprefix("thing ").split(" thing ")
    assert [f"thing {tag}" for tag in kept] == things[: len(kept)]


def test_a_text_that_is_long_enough_is_not_unfolded() -> None:
    assert len(embed_text(RICH).split()) >= FEWEST_WORDS
    assert "temperature" not in embed_text(RICH)


@pytest.mark.parametrize("temperature", CATEGORIES["temperature"])
@pytest.mark.parametrize("contrast", CATEGORIES["contrast"])
@pytest.mark.parametrize("brightness", CATEGORIES["brightness"])
@pytest.mark.parametrize("saturation", CATEGORIES["saturation"])
def test_the_four_words_a_colour_and_a_mood_are_enough_for_thirty(
    temperature: str, contrast: str, brightness: str, saturation: str
) -> None:
    poor, _ = to_tags(
        {
            "mood": ["calm"],
            "dominant_colors": ["blue"],
            "temperature": temperature,
            "contrast": contrast,
            "brightness": brightness,
            "saturation": saturation,
        }
    )

    text = embed_text(poor)

    assert FEWEST_WORDS <= len(text.split()) <= 40
    assert text.startswith(f"{temperature} color temperature")
    assert "{" not in text


def test_only_as_much_is_unfolded_as_is_needed() -> None:
    text = embed_text(RICH | {"associations": ["tide pool"], "seasonal": []})

    assert "cool color temperature with mostly cool hues" in text
    assert text.endswith("art deco coastal minimalism watercolor tide pool")


def test_a_palette_without_tags_gives_no_text() -> None:
    assert embed_text(dict.fromkeys(FIELDS)) == ""
    assert embed_text(to_tags({})[0]) == ""


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("calm sea", 2),
        ("宁静", 1),
        ("静けさ", 2),
        ("misty 宁静的海", 3),
        ("ทะเลสงบ", 4),
        ("평온한 바다", 2),
        ("👩🏽‍🚀 moon", 2),
        ("wabi-sabi", 1),
        ("هدوء البحر", 2),
        ("𠀀𠀁𠀂", 2),
    ],
)
def test_words_are_counted_in_every_script(text: str, count: int) -> None:
    assert count_words(text) == count


def test_chinese_tags_count_toward_the_limit() -> None:
    long = ["宁静的海洋与天空" + chr(0x4E00 + i) for i in range(60)]

    text = embed_text(RICH | {"associations": long})

    assert count_words(text) <= MOST_WORDS
    assert set(text.split()) & set(long)
    assert not set(LIST_FIELDS) & set(text.split())
