import json
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.analytics.facts import Spellings, distinct, explode, normalise, read_tags
from grabient_ops.tagging.vocabulary import FIELDS, LIST_FIELDS

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=8,
)
FEW = st.sampled_from(["calm", "Calm ", "CALM", "凉", "café", "cafe\u0301", "", " ", "\0"])
TAGS = st.dictionaries(
    st.sampled_from([*FIELDS, "other"]), st.lists(FEW | ODD, max_size=6) | FEW | ODD
)


def _facts(cells: list[str | bytes | None]) -> list[tuple[int, str, str, str, int]]:
    spellings = Spellings()
    facts = explode(cells, spellings)
    numbers = {tag: number for number, tag in enumerate(dict.fromkeys(spellings.tags))}
    tag_of = np.array([numbers[tag] if tag else -1 for tag in spellings.tags])
    return sorted(
        (answer, FIELDS[category], spellings.tags[v], spellings.given[v] or spellings.tags[v], p)
        for answer, category, v, p in zip(*map(list, distinct(facts, tag_of)), strict=True)
    )


def _brute_force(cells: list[Any]) -> list[tuple[int, str, str, str, int]]:
    found: dict[tuple[int, str, str], tuple[str, int]] = {}
    for answer, cell in enumerate(cells):
        for field in FIELDS:
            value = cell.get(field) if isinstance(cell, dict) else None
            if not isinstance(value, list if field in LIST_FIELDS else str):
                continue
            for position, item in enumerate(value if field in LIST_FIELDS else [value], start=1):
                if isinstance(item, str) and normalise(item):
                    found.setdefault((answer, field, normalise(item)), (item, position))
    return sorted((*key, *rest) for key, rest in found.items())


@given(st.lists(TAGS | ODD, max_size=8))
def test_facts_are_what_counting_by_hand_gives(cells: list[Any]) -> None:
    assert _facts([json.dumps(cell) for cell in cells]) == _brute_force(cells)


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)

    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == " ".join(once.split())
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in once)


@pytest.mark.parametrize(
    ("given_text", "tag"),
    [
        ("  Warm\t\n Glow ", "warm glow"),
        ("CAFE\u0301", "café"),
        ("凉爽", "凉爽"),
        ("🌅👩‍👩‍👧", "🌅👩‍👩‍👧"),
        ("דּ שקט", "דּ שקט"),
        ("purple'],\n \"temperature", "purple'], \"temperature"),
        ("a\0b", "ab"),
        ("\ud83d", ""),
        ("\u3000", ""),
        ("x" * 100_000, "x" * 100_000),
    ],
)
def test_a_tag_is_counted_as(given_text: str, tag: str) -> None:
    assert normalise(given_text) == unicodedata.normalize("NFC", tag)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "{",
        '{"mood": ["calm"]',
        "null",
        "[]",
        '"x"',
        "7",
        "NaN",
        '{"mood": NaN}',
        b"\xff",
        "[" * 9999,
    ],
)
def test_a_cell_that_is_no_object_of_json_holds_nothing(cell: str | bytes) -> None:
    assert read_tags(cell) == {}


def test_an_escaped_lone_surrogate_spoils_only_itself() -> None:
    cell = r'{"mood": ["calm", "\ud83d", "a\ud83db"], "temperature": "warm"}'

    assert _facts([cell]) == [
        (0, "mood", "ab", "a\ufffdb", 3),
        (0, "mood", "calm", "calm", 1),
        (0, "temperature", "warm", "warm", 1),
    ]


def test_the_first_spelling_of_a_tag_stays_and_keeps_its_place() -> None:
    cell = json.dumps({"mood": [1, None, ["deep"], {"tag": "x"}, "Calm", "calm", "CALM"]})

    assert _facts([cell]) == [(0, "mood", "calm", "Calm", 5)]


def test_a_spelling_is_numbered_once_over_all_pages() -> None:
    spellings = Spellings()
    first = explode(['{"mood": ["Calm"]}'], spellings)
    second = explode(['{"style": ["Calm"]}', None], spellings)

    assert first.spelling[0] == second.spelling[0]
