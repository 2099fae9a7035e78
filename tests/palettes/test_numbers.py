import math
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grabient_ops.palettes.numbers import parse_number, round3, write_number

_FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("token", "number"),
    [
        ("1.5abc", 1.5),
        ("1_000", 1.0),
        ("1e", 1.0),
        ("1E3", 1000.0),
        ("-.25", -0.25),
        (".", 0.0),
        ("-.", 0.0),
        ("+.5", 0.5),
        ("1.", 1.0),
        ("\ufeff\u2003\t1", 1.0),
        ("-Infinity", -math.inf),
        ("1e400", math.inf),
    ],
)
def test_a_token_is_read_as_javascript_reads_it(token: str, number: float) -> None:
    assert parse_number(token) == number


@pytest.mark.parametrize(
    "token", ["", "nan", "inf", "infinity", "abc1.5", "\uff11", "\x1c1", "\x851", "+", "e5"]
)
def test_a_token_without_a_number_at_its_beginning_is_nan(token: str) -> None:
    assert math.isnan(parse_number(token))


@given(_FINITE | st.integers(-20_000, 20_000).map(lambda n: n / 16))
@example(0.0005)
@example(1.0005)
@example(1e300)
def test_rounding_is_half_away_from_zero_on_the_exact_binary_value(number: float) -> None:
    exact = Decimal(abs(number))
    expected = exact if exact >= 10**15 else exact.quantize(Decimal("0.001"), ROUND_HALF_UP)

    assert round3(number) == math.copysign(float(expected), number)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0004, "0"),
        (0.5, ".500"),
        (-0.25, "-.250"),
        (0.0625, ".063"),
        (1, "1.000"),
        (-12.345, "-12.345"),
        (-10.5, "-10.500"),
        (100.0, "100.000"),
        (1e21, "1e+21"),
    ],
)
def test_a_number_is_written_as_the_site_writes_it(number: float, text: str) -> None:
    assert write_number(number) == text


@given(_FINITE)
def test_a_written_number_reads_back_as_the_rounded_one(number: float) -> None:
    assert parse_number(write_number(number)) == round3(number)
