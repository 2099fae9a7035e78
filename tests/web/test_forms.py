"""What is behind forms and pages: reading what people type, differences, words for spans."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.errors import InputError
from grabient_ops.pipeline.limits import to_pico
from grabient_ops.web.differences import Line, TooLongError, differ
from grabient_ops.web.fields import amount, budget, whole
from grabient_ops.web.wording import plain, price, span

lines_of_text = st.lists(
    st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=20), max_size=30
)


@given(lines_of_text, lines_of_text)
def test_both_texts_can_be_read_off_their_difference(old: list[str], new: list[str]) -> None:
    shown = differ("\n".join(old), "\n".join(new))
    before, after = "\n".join(old).splitlines(), "\n".join(new).splitlines()

    assert _read(shown, "old", before) == before
    assert _read(shown, "new", after) == after


def _read(lines: list[Line], sign: str, whole_text: list[str]) -> list[str]:
    """Put a text together; what a gap leaves out is taken from the text itself."""
    read: list[str] = []
    for line in lines:
        if line.sign == "gap":
            read += whole_text[len(read) : len(read) + line.left_out]
        elif line.sign in {"same", sign}:
            read.append("".join(piece.text for piece in line.pieces))
    return read


def test_equal_texts_differ_in_nothing() -> None:
    assert [line.sign for line in differ("a\nb\nc", "a\nb\nc")] == ["gap"]
    assert differ("", "") == []


def test_lines_far_from_a_change_are_left_out() -> None:
    old = "\n".join(f"line {number}" for number in range(20))
    shown = differ(old, old.replace("line 10\n", "another line\n"))

    assert [line.sign for line in shown] == [
        "gap", "same", "same", "old", "new", "same", "same", "gap"
    ]  # fmt: skip
    assert [line.left_out for line in shown if line.sign == "gap"] == [8, 7]


def test_two_unlike_lines_share_no_words() -> None:
    shown = differ("completely different", "nothing shared here at all")

    assert not any(piece.is_changed for line in shown for piece in line.pieces)


def test_endless_texts_are_not_compared() -> None:
    with pytest.raises(TooLongError):
        differ("a\n" * 3001, "b")


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (None, ""),
        (timedelta(), "0.0 s"),
        (timedelta(seconds=-5), "0.0 s"),
        (timedelta(seconds=59.94), "59.9 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(seconds=90), "1 min 30 s"),
        (timedelta(hours=2, minutes=5, seconds=59), "2 h 5 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
    ],
)
def test_a_span_is_told_in_two_units(length: timedelta | None, words: str) -> None:
    assert span(length) == words


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0, "$0.00"), (2, "$2.00"), (12.5, "$12.50"), (0.0375, "$0.0375"), (0.075, "$0.075"),
     (1234, "$1,234.00")],
)  # fmt: skip
def test_a_price_has_as_many_digits_as_it_needs(usd: float, shown: str) -> None:
    assert price(usd) == shown


def test_values_of_others_become_text() -> None:
    assert plain(None) == ""
    assert plain("as it is") == "as it is"
    assert plain({"name": "Grün", "n": [1, None]}) == '{"name": "Grün", "n": [1, null]}'
    assert plain({"at": timedelta(1)}) == '{"at": "1 day, 0:00:00"}'


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_number_in_bounds_or_a_complaint(text: str) -> None:
    for read, most in ((whole, 1000), (amount, 9_000_000)):
        with suppress(InputError):
            assert 0 <= read(text, "field", most) <= most


@pytest.mark.parametrize("text", ["$1,234.50", " 1234.5 ", "1234.5"])
def test_amounts_may_be_written_as_people_do(text: str) -> None:
    assert amount(text, "budget") == 1234.5


@pytest.mark.parametrize(
    ("text", "lift", "meant"), [("", False, "keep"), (" ", True, "lift"), ("0", False, 0)]
)
def test_an_empty_budget_keeps_what_is_in_force(text: str, lift: bool, meant: object) -> None:  # noqa: FBT001 - a case
    assert budget(text, lift=lift) == meant
    assert budget("2", lift=False) == to_pico(2)
