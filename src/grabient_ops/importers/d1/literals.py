"""Reads the literals of a SQL dump, and undoes what writing it has done to texts."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

Value: TypeAlias = int | float | str | bytes | None
"""A cell."""

NAME = (
    rb"(?:\"(?:[^\"]|\"\")*+\"|`(?:[^`]|``)*+`|\[[^\]]*+\]|'(?:[^']|'')*+'"
    rb"|[A-Za-z_\x80-\xff][\w$\x80-\xff]*+)"
)
"""A name as SQLite takes it: in any quotes, or bare."""

STRING = rb"'(?:[^']++|'')*+'"
_STEP = rb"\s*+,\s*+" + STRING + rb"\s*+,\s*+(?i:char)\s*+\(\s*+\d{1,7}\s*+\)\s*+\)"
VALUE = (
    rb"(?:" + STRING + rb"|[+-]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?\d++)?+"
    rb"|(?i:NULL|TRUE|FALSE|NAN|[+-]?INF(?:INITY)?+)|[xX]'[0-9A-Fa-f]*+'"
    rb"|(?i:unistr)\s*+\(\s*+" + STRING + rb"\s*+\)"
    rb"|(?:(?i:replace)\s*+\(\s*+)++" + STRING + rb"(?:" + _STEP + rb")++)"
)  # fmt: skip
"""A literal, or a text in the calls that make one line of several."""

_VALUE = re.compile(VALUE)
_REPLACE_PART = re.compile(rb"(?i:replace)|" + STRING + rb"|(?<=\()\s*+\d{1,7}(?=\s*+\))")
_UNISTR = re.compile(
    r"\\(?:\\|([0-9A-Fa-f]{4})|u([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6})|U([0-9A-Fa-f]{8}))"
)
_JSON_STRING = re.compile(r'("(?:[^"\\]++|\\.)*+")', re.DOTALL)
_WORDS: dict[bytes, Value] = {
    b"null": None, b"true": 1, b"false": 0, b"nan": None,
    b"inf": float("inf"), b"infinity": float("inf"), b"+inf": float("inf"),
    b"+infinity": float("inf"), b"-inf": float("-inf"), b"-infinity": float("-inf"),
}  # fmt: skip
_LONGEST_INTEGER = 30
_LONG_ROW = 1 << 16
_MOST_COLUMNS = 2000
"""As many as SQLite has by default."""


class Guess(str):
    """A text that is one of several which the dump would have written alike."""

    __slots__ = ()


def read_values(row: bytes) -> tuple[Value, ...]:
    """Return the values between the parentheses of a row.

    Raises:
        ValueError: a text is not UTF-8, the calls do not fit together, or no table has so many.
    """
    if len(row) > _LONG_ROW and count_values(row) > _MOST_COLUMNS:
        raise ValueError("No table has so many columns.")
    return tuple(map(_read, _VALUE.findall(row)))


def count_values(row: bytes) -> int:
    """Return how many values stand between the parentheses of a row."""
    return sum(1 for _ in _VALUE.finditer(row))


@lru_cache(maxsize=256)
def read_name(name: bytes) -> str:
    """Return a name without its quotes."""
    text = name.decode("utf-8", "replace")
    if text[0] in "\"`'":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text[1:-1] if text[0] == "[" else text


def _read(literal: bytes) -> Value:
    first = literal[:1]
    if first == b"'":
        text = literal[1:-1].decode()
        return text.replace("''", "'") if "'" in text else text
    if first in b"0123456789.+-" and literal.lower() not in _WORDS:
        return _number(literal)
    if first in b"xX":
        return bytes.fromhex(literal[2:-1].decode())
    word = literal.lower()
    if word in _WORDS:
        return _WORDS[word]
    return _unescaped(literal) if first in b"uU" else _replaced(literal)


def _text(literal: bytes) -> str:
    return literal[1:-1].decode().replace("''", "'")


def _number(literal: bytes) -> int | float:
    if literal.lstrip(b"+-").isdigit() and len(literal) <= _LONGEST_INTEGER:
        return int(literal)
    return float(literal)


def _unescaped(literal: bytes) -> str:
    """Undo `unistr`, which newer shells of SQLite write control characters with."""

    def character(found: re.Match[str]) -> str:
        digits = next(filter(None, found.groups()), None)
        return "\\" if digits is None else chr(int(digits, 16))

    text = literal[literal.index(b"'") : literal.rindex(b"'") + 1]
    return _whole(_UNISTR.sub(character, _text(text)))


def _replaced(literal: bytes) -> str:
    parts = _REPLACE_PART.findall(literal)
    calls = sum(not part.startswith(b"'") and not part.strip().isdigit() for part in parts)
    text, *rest = parts[calls:]
    if calls * 2 != len(rest):
        raise ValueError("The calls of replace do not fit together.")
    pairs = zip(map(_text, rest[::2]), rest[1::2], strict=True)
    steps = [(old, _whole(chr(int(new)))) for old, new in pairs if old]
    return restore(_text(text), steps)


def _whole(text: str) -> str:
    """Refuse halves of characters, which no text can hold."""
    text.encode()
    return text


def restore(written: str, steps: Sequence[tuple[str, str]]) -> str:
    r"""Return the text that a dump wrote as `replace(..., '\n', char(10))`.

    The dump does not escape a backslash that is followed by an n of its own, so SQLite would make a
    line end of that too. Where each mark stands once, or the text is JSON, there is one original:
    JSON has no line end inside a string, and no backslash outside.

    Args:
        written: what stands in the innermost call.
        steps: (mark, what it stands for), innermost first.

    Returns:
        The original; a `Guess`, as SQLite would read it, where there may be others.
    """
    read = written
    for mark, meant in steps:
        read = read.replace(mark, meant)
    if all(written.count(mark) <= 1 for mark, _ in steps):
        return read
    original = None if "\0" in written else _outside_strings(written, steps)
    return original if original is not None and _is_json(original) else Guess(read)


def _outside_strings(written: str, steps: Sequence[tuple[str, str]]) -> str | None:
    """Replace the marks between JSON strings; None when one of them stands only inside."""
    parts = _JSON_STRING.split(written)
    between = "\0".join(parts[::2])
    if not all(mark in between for mark, _ in steps):
        return None
    for mark, meant in steps:
        between = between.replace(mark, meant)
    parts[::2] = between.split("\0")
    return "".join(parts)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
