import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.describe import colours_of
from grabient_ops.palettes.lzstring import compress
from grabient_ops.palettes.seed import (
    InvalidSeedError,
    Palette,
    coeff_key,
    read_seed,
    repair_seed,
    write_aligned,
    write_legacy,
)

_LEGACY = next(seed for seed in bundled_seeds() if not seed.startswith("_"))
_TWELVE = ".1,.2,.3,.4,.5,.6,.7,.8,.9,1.000,1.234,1.567"


def _thousandths(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda n: n / 1000)


_COEFFS = st.lists(st.tuples(*[_thousandths(-131_072, 131_071)] * 3), min_size=4, max_size=4).map(
    tuple
)
_GLOBALS = st.tuples(
    _thousandths(-1000, 1000), _thousandths(0, 2000), _thousandths(0, 2000), _thousandths(-999, 999)
)


def _rows(matrix: list[list[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, matrix))


def _palette_or_reason(text: str) -> Palette | str:
    try:
        return read_seed(text)
    except InvalidSeedError as error:
        return error.reason


def _reason(text: str) -> str:
    result = _palette_or_reason(text)
    assert isinstance(result, str)
    return result


def test_legacy_vectors_give_their_numbers_and_their_canonical_seed(
    legacy_vectors: list[dict[str, Any]],
) -> None:
    for vector in legacy_vectors:
        palette = read_seed(vector["seed"])

        assert palette.coeffs == _rows(vector["coeffs"])
        assert palette.globals == tuple(vector["globals"])
        assert write_legacy(palette.coeffs, palette.globals) == vector["canonical"]


def test_aligned_vectors_give_their_numbers_their_key_and_their_legacy_seed(
    aligned_vectors: list[dict[str, Any]],
) -> None:
    for vector in aligned_vectors:
        palette = read_seed(vector["seed"])

        assert palette.coeffs == _rows(vector["coeffs"])
        assert palette.globals == tuple(vector["globals"])
        assert write_aligned(palette.coeffs, palette.globals) == vector["canonical"]
        assert write_legacy(palette.coeffs, palette.globals) == vector["legacy"]
        assert coeff_key(palette) == vector["coeffKey"]
        assert coeff_key(read_seed(vector["legacy"])) == vector["coeffKey"]


def test_edge_seeds_are_refused_with_a_reason_or_read_as_the_first_system_did(
    edge_seeds: list[dict[str, Any]],
) -> None:
    for edge in edge_seeds:
        result = _palette_or_reason(edge["seed"])
        if isinstance(result, Palette):
            reader = "head" if result.format == "aligned" else "v0"
            assert result.coeffs == _rows(edge[reader]["ok"]["coeffs"])
            assert result.globals == tuple(edge[reader]["ok"]["globals"])
        else:
            assert result.endswith(".")


@given(_COEFFS, _GLOBALS)
def test_numbers_survive_both_formats(
    coeffs: tuple[tuple[float, ...], ...], globals_: tuple[float, ...]
) -> None:
    # A few equal numbers pack to less than the 20 characters that a seed has at least.
    assume(len({number for row in coeffs for number in row}) > 6)

    for write in (write_legacy, write_aligned):
        palette = read_seed(write(coeffs, globals_))

        assert palette.coeffs == coeffs
        assert palette.globals == globals_


@given(st.text(max_size=80) | st.text("_-AZaz09$+ ,", max_size=80))
def test_any_text_is_read_or_refused_with_one_sentence(text: str) -> None:
    result = _palette_or_reason(text)

    if isinstance(result, Palette):
        assert result.seed == text
    else:
        assert result.endswith(".")
        assert result.isascii()
        assert repair_seed(text) != text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("凉", "holds '\\u51c9'"),
        ("\ud800" * 30, "holds"),
        ("A" * 19, "length is 19"),
        ("A" * 201, "length is 201"),
        ("_" + "A" * 30, "length is 31"),
        ("_" + "+" * 36, "holds '+'"),
        (".5,.5,.5,.5,.5,.5,1.000,1.000,1.000,0,.333,.667", "list of numbers"),
        (_LEGACY + "\n", "holds"),
        (_LEGACY + "A", "end"),
        (_LEGACY[:-1], "end"),
        (_LEGACY[:30], "does not decode"),
        (compress(_TWELVE + ",1"), "13 numbers"),
        (compress("x" + _TWELVE), "number 1 is not"),
        (compress("1e400" + _TWELVE[2:]), "number 1 is not"),
        (compress(_TWELVE + ",1.0004,1,1,0"), "exposure 1.0004"),
        (compress(_TWELVE + ",0,2.0004,1,0"), "contrast 2.0004"),
        (compress(_TWELVE + ",0,1,-.0004,0"), "frequency -0.0004"),
        (compress(_TWELVE + ",0,1,1,3.143"), "phase 3.143"),
        ("_" + "gAA" * 12 + "gAvovoxH", "phase 1.095"),
    ],
)
def test_the_reason_names_what_is_wrong(text: str, word: str) -> None:
    assert word in _reason(text)


@pytest.mark.parametrize("seed", bundled_seeds()[:12])
@pytest.mark.parametrize(
    "damage",
    ["{}.png", "{}?x=1", "{}/", " {}", "{}\n", "https://grabient.com/{}?style=x", '"{}",'],
)
def test_a_seed_with_something_around_it_is_refused_and_repaired(seed: str, damage: str) -> None:
    damaged = damage.format(seed)

    assert _reason(damaged)
    assert repair_seed(damaged) == seed


def test_there_is_nothing_to_repair_in_a_valid_seed_or_in_noise() -> None:
    assert repair_seed(_LEGACY) is None
    assert repair_seed("hello world") is None
    assert repair_seed("A" * 100_000) is None


def test_aligned_numbers_are_thousandths_around_the_middle_of_their_range() -> None:
    palette = read_seed("_" + "gAA" + "gH0" + "gPo" + "f_8" + "AAA" + "___" + "gAA" * 6)

    assert palette.coeffs[:2] == ((0, 0.5, 1), (-0.004, -131.072, 131.071))
    assert palette.globals == (0, 1, 1, 0)


def test_a_writer_refuses_what_no_seed_can_hold() -> None:
    huge, zero = [[1e300] * 3] * 4, [[0.0] * 3] * 4

    with pytest.raises(InvalidSeedError):
        write_legacy([[math.nan] * 3] * 4)
    with pytest.raises(InvalidSeedError):
        write_aligned([[math.inf] * 3] * 4)
    with pytest.raises(InvalidSeedError):
        write_aligned(zero, (0, 3, 1, 0))
    assert read_seed(write_aligned(huge)).coeffs[0] == (131.071,) * 3


@pytest.mark.parametrize("seed", bundled_seeds())
def test_both_formats_and_folded_globals_have_one_key(seed: str) -> None:
    palette = read_seed(seed)
    key = coeff_key(palette)

    assert coeff_key(read_seed(write_legacy(palette.coeffs, palette.globals))) == key
    assert coeff_key(read_seed(write_aligned(palette.coeffs, palette.globals))) == key
    assert coeff_key(read_seed(key)) == key


def test_a_phase_of_more_than_a_turn_keeps_its_colours_in_the_aligned_format() -> None:
    coeffs = ((0.5, 0.5, 0.5), (0.5, 0.4, 0.3), (1.0, 0.9, 0.8), (0.0, 0.33, 0.67))
    legacy = read_seed(write_legacy(coeffs, (0, 1, 1, 2.345)))
    aligned = read_seed(write_aligned(coeffs, (0, 1, 1, 2.345)))

    assert legacy.drawn_otherwise_today
    assert not aligned.drawn_otherwise_today
    assert aligned.globals[3] == 0.345
    assert (colours_of([legacy]) == colours_of([aligned])).all()


def test_a_palette_keeps_its_seed_as_it_came() -> None:
    older_writer = compress("-0.250" + _TWELVE[2:])
    palette = read_seed(older_writer)

    assert isinstance(palette, Palette)
    assert palette.seed == older_writer
    assert palette.coeffs[0][0] == -0.25
    assert write_legacy(palette.coeffs) != older_writer
