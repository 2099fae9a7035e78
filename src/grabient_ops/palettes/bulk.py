"""The numbers of many seeds at once, many times faster than one seed after the other.

All legacy seeds of a block are unpacked in step: one NumPy operation takes one code from each.
That works because every lz-string phrase is a piece of what was put out before it, so two numbers
say it: how far back it stands and how long it is. Characters are looked up at the very end.

Anything unusual in a block sends the whole block to `read_values`, which this must always equal.
"""

import re
from base64 import b64decode
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from grabient_ops.palettes import aligned, legacy
from grabient_ops.palettes.gradient import colours
from grabient_ops.palettes.lzstring import MIRRORED
from grabient_ops.palettes.palette import DEFAULT_GLOBALS
from grabient_ops.palettes.seed import read_values
from grabient_ops.palettes.spaces import Bytes, Floats

_Ints = NDArray[np.int64]

_WORTHWHILE = 64
"""Fewer legacy seeds than this are faster one by one."""
_MOST_ROWS = 1 << 16
_MOST_PHRASES = 256
"""Real seeds have about 100; one with more is read by itself."""

_LEGACY = re.compile(r"[A-Za-z0-9+-]{20,200}")
_ALIGNED = re.compile(r"_[A-Za-z0-9_-]{36}(?:[A-Za-z0-9_-]{8})?")
_DEFAULT_TAIL = "gAvovogA"
"""The default globals as an aligned seed would spell them."""
_NUMERIC = b"0123456789.,-\n"
_LARGEST_PLAIN = 1e6
"""Below this a number of three decimals survives multiplication by a thousand and rounding."""

_COEFF_ZERO, _GLOBAL_ZERO = 1 << 17, 1 << 11

_SEXTET = np.zeros(128, dtype=np.int64)
_SEXTET[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] = range(64)
_WIDTH = np.array([count.bit_length() for count in range(_MOST_PHRASES)])
_MASK = (1 << _WIDTH) - 1
_CLASS = np.full(256, 15)
_CLASS[list(b"0123456789.,-")] = np.arange(13)
_LITERAL, _WIDE, _END, _FIRST_PHRASE = 0, 1, 2, 3


def read_all_values(seeds: Sequence[str]) -> Floats:
    """Read the sixteen numbers of every seed: rows a, b, c, d, then the globals.

    Needs about 10 kB a seed while it runs; give it a few thousand at a time.

    Returns:
        Numbers as `read_values` gives them, shape (n, 16).

    Raises:
        InvalidSeedError: one of the texts is no seed.
    """
    is_aligned = np.array([seed.startswith("_") for seed in seeds], dtype=np.bool_)
    values = np.empty((len(seeds), 16))
    for chosen, read_together in ((is_aligned, _aligned_values), (~is_aligned, _legacy_values)):
        group = [seeds[index] for index in np.flatnonzero(chosen).tolist()]
        numbers = read_together(group)
        if numbers is None:
            numbers = np.array([read_values(seed) for seed in group]).reshape(-1, 16)
        values[chosen] = numbers
    return values


def read_colours(seeds: Sequence[str]) -> Bytes:
    """Sample the gradients of seeds; give it a few thousand at a time.

    Returns:
        Colours as `gradient.colours` gives them, shape (n, 11, 3).

    Raises:
        InvalidSeedError: one of the texts is no seed.
    """
    values = read_all_values(seeds)
    return colours(values[:, :12].reshape(-1, 4, 3), values[:, 12:])


def _aligned_values(seeds: list[str]) -> Floats | None:
    """Read aligned seeds together; None when one is invalid."""
    if not seeds or not all(map(_ALIGNED.fullmatch, seeds)):
        return None
    full = "".join([seed if len(seed) == 45 else seed + _DEFAULT_TAIL for seed in seeds])
    sextets = _SEXTET[np.frombuffer(full.encode(), np.uint8)].reshape(-1, 45)
    coeffs = sextets[:, 1:37:3] << 12 | sextets[:, 2:37:3] << 6 | sextets[:, 3:37:3]
    globals_ = sextets[:, 37::2] << 6 | sextets[:, 38::2]
    values = np.hstack((coeffs - _COEFF_ZERO, globals_ - _GLOBAL_ZERO)) / 1000
    return values if _are_legal(values, aligned.LARGEST_PHASE) else None


def _are_legal(values: Floats, largest_phase: float) -> bool:
    low, high = (-1, 0, 0, -largest_phase), (1, 2, 2, largest_phase)
    return bool(((values[:, 12:] >= low) & (values[:, 12:] <= high)).all())


def _legacy_values(seeds: list[str]) -> Floats | None:
    """Read seeds in step; None when there are few, or one is invalid or merely unusual."""
    if not _WORTHWHILE <= len(seeds) < _MOST_ROWS or not all(map(_LEGACY.fullmatch, seeds)):
        return None
    unpacked = _unpack(seeds)
    text = None if unpacked is None else _spell(*unpacked)
    return None if text is None else _numbers(text)


class _Phrases(NamedTuple):
    """Pieces of output, in the order of output within each row.

    Attributes:
        row: whose piece it is.
        code: the number of the phrase that was put out.
        shift: how much further left the same characters stood before; 0 for a new character.
        length: how many characters it has.
    """

    row: _Ints
    code: _Ints
    shift: _Ints
    length: _Ints


class _Characters(NamedTuple):
    """New characters, in the order of output within each row; the last is the line's end."""

    row: _Ints
    character: _Ints


class _Streams:
    """The rows whose end is not reached: where each stands, and where its phrases are.

    Attributes:
        row: their numbers.
        known: how many phrases each knows (with the three codes that are none).
        place: how many characters each has put out.
    """

    def __init__(self, seeds: list[str]) -> None:
        self._total = len(seeds)
        self._sizes = np.array([len(seed) for seed in seeds])
        # A few characters more, so that every code may be read as a whole word.
        width = (int(self._sizes.max()) // 4 + 2) * 4
        self._words = _words(seeds, width)
        self._row_bits = 6 * width
        self.row = np.arange(self._total)
        self._bit = self.row * self._row_bits
        self.place = np.zeros(self._total, dtype=np.int64)
        # A phrase that is being learnt stands at `known`. The very first one is the character that
        # the stream begins with; learning it as a phrase of length 1 gives it its number, 3.
        self.known = np.full(self._total, _FIRST_PHRASE - 1)
        self._starts, self._lengths = np.zeros((2, _MOST_PHRASES * self._total), dtype=np.int64)
        self._lengths[self._slot(self.known)] = 1

    def _slot(self, code: _Ints) -> _Ints:
        return code * self._total + self.row

    def _peek(self) -> _Ints:
        """Give what comes next in each row, lowest bit first; at least 25 bits of it are true."""
        word: _Ints = self._words.take(self._bit >> 3, mode="clip")
        return word >> (self._bit & 7)

    def next_codes(self) -> _Ints:
        """Read a code from each row."""
        code = self._peek() & _MASK.take(self.known)
        self._bit += _WIDTH.take(self.known)
        return code

    def drop(self, ended: NDArray[np.bool_]) -> _Ints | None:
        """Drop rows and give their numbers; None when something is wrong with the end of one."""
        rows = self.row[ended]
        last_character = (self._bit[ended] - rows * self._row_bits) // 6
        if (last_character + 1 != self._sizes[rows]).any() or (self._peek()[ended] & 63).any():
            return None
        others = ~ended
        self.row, self.known, self.place = self.row[others], self.known[others], self.place[others]
        self._bit = self._bit[others]
        return rows

    def take_characters(self, new: _Ints, code: _Ints) -> _Characters:
        """Learn the characters that follow in the rows `new`; `code` becomes their numbers."""
        # No plain number holds a character of 16 bits: let it become one that none holds either.
        character = np.where(code[new] == _WIDE, 0, self._peek()[new] & 255)
        self._bit[new] += 8
        known, place = self.known[new], self.place[new]
        slot = self._slot(self.known)[new]
        self._starts[slot + self._total] = self._starts[slot]
        self._lengths[slot + self._total] = self._lengths[slot]
        self._starts[slot], self._lengths[slot] = place, 1
        code[new] = np.maximum(known, _FIRST_PHRASE)
        self.known[new] = known + 1
        return _Characters(self.row[new], character)

    def put_out(self, code: _Ints) -> _Phrases:
        """Put out one phrase in each row, and begin to learn it with the character after it."""
        slot = self._slot(code)
        start, length, place = self._starts.take(slot), self._lengths.take(slot), self.place
        self.known += 1
        slot = self._slot(self.known)
        self._starts[slot], self._lengths[slot] = place, length + 1
        self.place = place + length
        return _Phrases(self.row, code, start - place, length)


def _unpack(seeds: list[str]) -> tuple[_Phrases, _Characters] | None:
    """Follow the codes of all rows to their ends; None when a row is no canonical stream."""
    streams = _Streams(seeds)
    phrases: list[_Phrases] = []
    characters: list[_Characters] = []
    # A step learns two phrases at most.
    for _ in range(_MOST_PHRASES // 2 - _FIRST_PHRASE):
        if not streams.row.size:
            return _in_order(phrases), _in_order(characters)
        code = streams.next_codes()
        if (ended := code == _END).any():
            rows = streams.drop(ended)
            if rows is None:
                return None
            one, line_end = np.ones_like(rows), np.full_like(rows, ord("\n"))
            phrases.append(_Phrases(rows, _END * one, 0 * one, one))
            characters.append(_Characters(rows, line_end))
            code = code[~ended]
        new = np.flatnonzero(code <= _WIDE)
        if new.size:
            characters.append(streams.take_characters(new, code))
        phrases.append(streams.put_out(code))
    return None


_Pieces = TypeVar("_Pieces", _Phrases, _Characters)


def _in_order(steps: list[_Pieces]) -> _Pieces:
    """Put the pieces of all steps together, row by row."""
    columns = [np.concatenate(column) for column in zip(*steps, strict=True)]
    # NumPy sorts numbers of 16 bits in linear time.
    order = columns[0].astype(np.uint16).argsort(kind="stable")
    return type(steps[0])(*(column[order] for column in columns))


def _words(seeds: list[str], width: int) -> _Ints:
    """Give, for each byte of the bit streams, the 32 bits that begin there, lowest bit first."""
    padded = "".join([seed.ljust(width, "A") for seed in seeds])
    octets = b64decode(padded, altchars=b"+-").translate(MIRRORED)
    words = np.ndarray(len(octets) - 3, dtype="<u4", buffer=octets, strides=(1,))
    return words.astype(np.int64)


def _spell(phrases: _Phrases, characters: _Characters) -> bytes | None:
    """Look the characters up, a line for each row; None when a phrase was learnt twice."""
    if not phrases.length.all():
        return None  # a code beyond what was learnt
    ends = phrases.length.cumsum()
    source = np.arange(ends[-1]) + phrases.shift.repeat(phrases.length)
    origin = source[source]
    while not np.array_equal(origin, source):
        source, origin = origin, origin[origin]
    text = np.empty(len(source), dtype=np.uint8)
    text[ends[phrases.shift == 0] - 1] = characters.character
    text = text[source]
    numbered = phrases.row * (int(phrases.code.max()) + 1) + phrases.code
    longer = numbered * 16 + _CLASS.take(text.take(ends, mode="clip"))
    single = characters.row * 16 + _CLASS.take(characters.character)
    return text.tobytes() if _are_distinct(longer) and _are_distinct(single) else None


def _are_distinct(keys: _Ints) -> bool:
    seen = np.zeros(int(keys.max()) + 1, dtype=np.bool_)
    seen[keys] = True
    return int(np.count_nonzero(seen)) == len(keys)


def _numbers(text: bytes) -> Floats | None:
    """Read lines of numbers; None unless all are written plainly and every global is legal."""
    if text.translate(None, _NUMERIC):
        return None
    counts = np.array([line.count(b",") + 1 for line in text.split(b"\n")[:-1]])
    if not np.isin(counts, (12, 16)).all():
        return None
    values = np.tile((*[0.0] * 12, *DEFAULT_GLOBALS), (len(counts), 1))
    try:
        values[np.arange(16) < counts[:, None]] = orjson.loads(_as_json(text))
    except orjson.JSONDecodeError:
        return None
    is_plain = (np.rint(values * 1000) / 1000 == values) & (np.abs(values) < _LARGEST_PLAIN)
    # + 0.0 drops the sign of a written minus zero.
    legal = is_plain.all() and _are_legal(values, legacy.LARGEST_PHASE)
    return values + 0.0 if legal else None


def _as_json(text: bytes) -> bytes:
    """Write lines of numbers as one array; JSON wants a digit before every point."""
    joined = b"," + text[:-1].replace(b"\n", b",")
    return b"[%b]" % joined.replace(b",.", b",0.").replace(b"-.", b"-0.")[1:]
