"""The difference of two texts: line by line, and word by word where a line was rewritten."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_AROUND = 2
_MOST_LINES = 3000
_MOST_WORDS = 400
_LIKE = 0.4
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")

Sign = Literal["same", "old", "new", "gap"]


class Piece(NamedTuple):
    """A part of a line, and whether it is in one of the two texts only."""

    text: str
    is_changed: bool


class Line(NamedTuple):
    """A line of both texts or of one; a `gap` stands for so many equal lines that are left out."""

    sign: Sign
    pieces: Sequence[Piece] = ()
    left_out: int = 0


class TooLongError(ValueError):
    """The texts have too many lines to be compared while somebody waits."""


def differ(old: str, new: str) -> list[Line]:
    """Compare two texts; equal lines far from any change are left out.

    Raises:
        TooLongError: one of them has more than 3,000 lines.
    """
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > _MOST_LINES:
        raise TooLongError
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    lines: list[Line] = []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            is_end = old_to == len(before)
            lines += _same(before[old_from:old_to], is_start=not lines, is_end=is_end)
        else:
            lines += _changed(before[old_from:old_to], after[new_from:new_to])
    return lines


def _same(lines: Sequence[str], *, is_start: bool, is_end: bool) -> Iterator[Line]:
    head, tail = 0 if is_start else _AROUND, 0 if is_end else _AROUND
    left_out = len(lines) - head - tail
    same = [_alone("same", line) for line in lines]
    if left_out <= 1:
        yield from same
        return
    yield from same[:head]
    yield Line("gap", left_out=left_out)
    yield from same[len(lines) - tail :]


def _changed(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    """Pair the lines of a change in order; what has no partner stands alone."""
    pairs = [_words(before, after) for before, after in zip(old, new, strict=False)]
    paired = len(pairs)
    removed = [Line("old", pair[0]) for pair in pairs] + [_alone("old", t) for t in old[paired:]]
    added = [Line("new", pair[1]) for pair in pairs] + [_alone("new", t) for t in new[paired:]]
    return removed + added


def _alone(sign: Sign, text: str) -> Line:
    return Line(sign, (Piece(text, is_changed=False),))


def _words(old: str, new: str) -> tuple[list[Piece], list[Piece]]:
    """Cut two lines into what they share and what they do not; two unlike lines share nothing."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    whole = [Piece(old, is_changed=False)], [Piece(new, is_changed=False)]
    if max(len(before), len(after)) > _MOST_WORDS:
        return whole
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < _LIKE:
        return whole
    left, right = [], []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if old_to > old_from:
            left.append(Piece("".join(before[old_from:old_to]), tag != "equal"))
        if new_to > new_from:
            right.append(Piece("".join(after[new_from:new_to]), tag != "equal"))
    return left, right
