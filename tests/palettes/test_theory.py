from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from grabient_ops.palettes import theory
from grabient_ops.palettes.bundled import bundled_names
from grabient_ops.palettes.describe import describe
from grabient_ops.palettes.harmony import HARMONIES, harmonies
from grabient_ops.palettes.spaces import Bytes
from grabient_ops.palettes.theory import DOMINANT_COLORS, Facts, facts


def _palette(*codes: str) -> Bytes:
    """Spread colours over 11 steps."""
    colours = [list(bytes.fromhex(code)) for code in codes]
    return np.array([[colours[step * len(codes) // 11] for step in range(11)]], dtype=np.uint8)


def _facts(*codes: str) -> Facts:
    return facts(_palette(*codes))[0]


def _bundled(name: str) -> Facts:
    seed = next(seed for seed, given_name in bundled_names().items() if given_name == name)
    looks = describe([seed])[0].looks
    assert looks is not None
    return looks.facts


def test_harmonies_are_those_of_the_first_system(colour_facts: list[dict[str, Any]]) -> None:
    described = describe([row["seed"] for row in colour_facts])

    ours = [row.looks.facts.harmony for row in described if row.looks]
    assert ours == [tuple(row["harmonies"]) for row in colour_facts]


@pytest.mark.parametrize(
    ("codes", "harmony"),
    [
        (["808080"], ()),
        (["c03030"], ("monochromatic",)),
        (["c03030", "c0a030"], ("analogous",)),
        (["e05040", "40c0c0"], ("complementary",)),
        (["e04040", "e04040", "40b040", "4060e0", "4060e0"], ("triadic",)),
    ],
)
def test_a_textbook_harmony_is_found(codes: list[str], harmony: tuple[str, ...]) -> None:
    assert harmonies(_palette(*codes)) == [harmony]


@pytest.mark.parametrize(
    ("field", "word", "codes"),
    [
        ("temperature", "warm", ["ff4020", "ffb040"]),
        ("temperature", "cool", ["2040ff", "20b0c0"]),
        ("temperature", "cool-warm", ["ff4020", "2060ff"]),
        ("temperature", "neutral", ["202020", "a0a0a2"]),
        ("contrast", "high", ["000000", "ffffff"]),
        ("contrast", "medium", ["ff3030", "30a030"]),
        ("contrast", "low", ["a0a0a0", "b0b0b0"]),
        ("brightness", "dark", ["101020", "202030"]),
        ("brightness", "medium", ["707070", "909090"]),
        ("brightness", "light", ["e0e0f0", "f8f0f0"]),
        ("brightness", "varied", ["000000", "ffffff"]),
        ("saturation", "vibrant", ["ff0080", "0040ff"]),
        ("saturation", "muted", ["a09088", "8890a0"]),
        ("saturation", "mixed", ["ff0080", "908890"]),
        ("dominant_colors", ("black", "white"), ["000000", "ffffff"]),
        ("dominant_colors", ("navy",), ["0a1a4a"]),
    ],
)
def test_an_obvious_palette_gets_the_obvious_word(
    field: str, word: object, codes: list[str]
) -> None:
    assert getattr(_facts(*codes), field) == word


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deep sea trench", {"cool", "dark", "teal"}),
        ("late summer sunset", {"warm", "high", "vibrant", "orange"}),
        ("sea glass", {"cool", "light", "muted"}),
        ("graphite", {"neutral", "muted", "gray"}),
        ("espresso", {"warm", "brown"}),
        ("mango lassi", {"warm", "light", "orange"}),
        ("disco", {"cool-warm", "vibrant", "purple"}),
        ("cherry blossom", {"pink", "monochromatic"}),
    ],
)
def test_facts_agree_with_what_a_bundled_palette_is_called(name: str, expected: set[str]) -> None:
    found = _bundled(name)

    words = {found.temperature, found.contrast, found.brightness, found.saturation}
    assert expected <= words | set(found.dominant_colors) | set(found.harmony)


@given(arrays(np.uint8, (3, 11, 3)))
def test_facts_of_any_colours_are_in_the_vocabulary(rgb: Bytes) -> None:
    for found in facts(rgb):
        assert found.temperature in get_args(theory.Temperature)
        assert found.contrast in get_args(theory.Contrast)
        assert found.brightness in get_args(theory.Brightness)
        assert found.saturation in get_args(theory.Saturation)
        assert 1 <= len(set(found.dominant_colors) & set(DOMINANT_COLORS)) <= 4
        assert len(set(found.harmony) & set(HARMONIES)) == len(found.harmony) <= 3


def test_facts_do_not_depend_on_the_palettes_beside() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (2500, 11, 3), dtype=np.uint8)

    together = facts(rgb)

    assert together[::500] == [facts(rgb[i : i + 1])[0] for i in range(0, 2500, 500)]
    assert facts(rgb[:0]) == []


def test_sixteen_colour_names_are_distinct() -> None:
    assert len(set(DOMINANT_COLORS)) == 16
