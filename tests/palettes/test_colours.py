import math
from typing import Any

import numpy as np
import pytest
from coloraide import Color
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grabient_ops.palettes.colours import COLOR_NAMES, color_names, hex_codes, hsl, lch
from grabient_ops.palettes.gradient import colours
from grabient_ops.palettes.spaces import Bytes, oklab, polar

_ANY_COLOURS = arrays(np.uint8, (2, 11, 3))


def _some_colours() -> Bytes:
    return np.random.default_rng(7).integers(0, 256, (20, 11, 3), dtype=np.uint8)


def _as_coloraide(rgb: Bytes, space: str) -> list[list[float]]:
    hues = [Color("srgb", list(colour / 255)).convert(space) for colour in rgb.reshape(-1, 3)]
    return [list(hue.coords(nans=False)) for hue in hues]


def test_vectors_of_the_first_system_agree_to_the_last_bit(
    legacy_vectors: list[dict[str, Any]], aligned_vectors: list[dict[str, Any]]
) -> None:
    vectors = legacy_vectors + aligned_vectors
    coeffs = np.array([vector["coeffs"] for vector in vectors])
    rgb = colours(coeffs, np.array([vector["globals"] for vector in vectors], dtype=float))

    assert rgb.tolist() == [vector["rgb"] for vector in vectors]
    assert hex_codes(rgb) == [vector["hex"] for vector in vectors]
    legacy = rgb[: len(legacy_vectors)]
    assert hsl(legacy).tolist() == [vector["hsl"] for vector in legacy_vectors]
    assert lch(legacy).tolist() == [vector["lch"] for vector in legacy_vectors]


@given(
    arrays(float, (4, 3), elements=st.floats(-20, 20)),
    st.tuples(st.floats(-1, 1), st.floats(0, 2), st.floats(0, 2), st.floats(-1, 1)),
    st.integers(1, 50),
)
def test_the_gradient_equals_the_formula_computed_one_by_one(
    coeffs: np.ndarray[Any, np.dtype[np.float64]], globals_: tuple[float, ...], steps: int
) -> None:
    exposure, contrast, frequency, phase = globals_
    expected = []
    for step in range(steps):
        t = step / (steps - 1) if steps > 1 else 0.0
        for a, b, c, d in coeffs.T.tolist():
            turns = c * frequency * t + (d + phase)
            value = a + exposure + b * contrast * math.cos(math.pi * 2 * turns)
            expected.append(math.floor(min(max(value, 0), 1) * 255 + 0.5))

    assert colours(coeffs[None], np.array([globals_]), steps).ravel().tolist() == expected


@given(arrays(float, (1, 4, 3), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_of_any_size_give_colours_without_a_warning(
    coeffs: np.ndarray[Any, np.dtype[np.float64]],
) -> None:
    assert colours(coeffs, np.array([[1.0, 2.0, 2.0, 1.0]])).shape == (1, 11, 3)


def test_hsl_is_that_of_coloraide() -> None:
    rgb = _some_colours()

    ours = hsl(rgb).reshape(-1, 3)
    theirs = np.array(_as_coloraide(rgb, "hsl")) * (1, 100, 100)

    assert np.abs(ours - theirs).max() <= 0.5 + 1e-9


def test_lch_is_that_of_coloraide() -> None:
    rgb = _some_colours()

    ours = lch(rgb).reshape(-1, 3)
    theirs = np.array(_as_coloraide(rgb, "lch-d65"))

    assert np.abs(ours - theirs).max() <= 0.6


def test_oklab_and_its_polar_form_are_those_of_coloraide() -> None:
    rgb = _some_colours()

    lab = oklab(rgb)

    assert lab.reshape(-1, 3) == pytest.approx(np.array(_as_coloraide(rgb, "oklab")), abs=2e-6)
    theirs = np.array(_as_coloraide(rgb, "oklch"))
    assert np.stack(polar(lab), axis=-1).reshape(-1, 3) == pytest.approx(theirs, abs=2e-3)


@given(_ANY_COLOURS)
def test_names_are_the_nearest_by_rgb_in_order_of_appearance(rgb: Bytes) -> None:
    expected = [
        list(
            dict.fromkeys(
                min(COLOR_NAMES, key=lambda name: math.dist(COLOR_NAMES[name], colour))
                for colour in palette
            )
        )
        for palette in rgb.tolist()
    ]

    assert color_names(rgb) == expected


def test_the_first_of_two_equal_names_wins() -> None:
    aqua = np.array([[COLOR_NAMES["aqua"]]], dtype=np.uint8)

    assert color_names(aqua) == [["cyan"]]


@given(_ANY_COLOURS)
def test_hex_codes_spell_the_channels(rgb: Bytes) -> None:
    codes = hex_codes(rgb)

    assert [[list(bytes.fromhex(code[1:])) for code in row] for row in codes] == rgb.tolist()


def test_no_palettes_have_no_colours() -> None:
    none = np.empty((0, 11, 3), dtype=np.uint8)

    assert hex_codes(none) == color_names(none) == []
    assert len(hsl(none)) == len(lch(none)) == 0
