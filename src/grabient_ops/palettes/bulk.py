"""The numbers of many seeds at once, several times faster than one seed after the other.

All legacy seeds of a block are unpacked in step: one NumPy operation takes one code from each.
That works because every lz-string phrase is a piece of what was put out before it, so two numbers
say it: where it starts and how long it is. Characters are looked up at the very end.

Anything unusual in a block sends the whole block to `read_values`, which this must always equal.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grabient_ops.palettes.legacy import LARGEST_PHASE, PLAIN_NUMBERS
from grabient_ops.palettes.palette import DEFAULT_GLOBALS
from grabient_ops.palettes.seed import read_values
from grabient_ops.palettes.spaces import Floats

_Ints = NDArray[np.int64]

_WORTHWHILE = 128
"""Fewer seeds than this are faster one by one."""
_MOST_PHRASES = 256
"""Real seeds have about 100; one with more is read by itself."""

_SEEDS = re.compile(r"(?:[A-Za-z0-9+-]{20,200}\n)*+")
_CSV = re.compile(rf"(?:{PLAIN_NUMBERS}\n)*+".encode())
_LOW = np.array([-1, 0, 0, -LARGEST_PHASE])
_HIGH = np.array([1, 2, 2, LARGEST_PHASE])

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
_BITS = np.zeros((128, 6), dtype=np.uint8)
_BITS[list(_ALPHABET)] = np.arange(64)[:, None] >> np.arange(5, -1, -1) & 1
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
    is_legacy = np.array([not seed.startswith("_") for seed in seeds], dtype=np.bool_)
    values = np.empty((len(seeds), 16))
    for chosen in (is_legacy, ~is_legacy):
        group = [seed for seed, wanted in zip(seeds, chosen.tolist(), strict=True) if wanted]
        numbers = _legacy_values(group)
        if numbers is None:
            numbers = np.array([read_values(seed) for seed in group]).reshape(-1, 16)
        values[chosen] = numbers
    return values


def _legacy_values(seeds: list[str]) -> Floats | None:
    """Read seeds in step; None when there are few, or one is invalid or merely unusual."""
    if len(seeds) < _WORTHWHILE or not _SEEDS.fullmatch("\n".join([*seeds, ""])):
        return None
    unpacked = _unpack(seeds)
    if unpacked is None:
        return None
    text = _spell(*unpacked, len(seeds))
    return None if text is None else _numbers(text, len(seeds))


class _Phrases(NamedTuple):
    """Pieces of output, in any order of the rows, in the order of output within each.

    Attributes:
        row: whose piece it is.
        code: the number of the phrase that was put out.
        place: where in the row's output it begins.
        start: where in the row's output the same characters stood before.
        length: how many characters it has.
    """

    row: _Ints
    code: _Ints
    place: _Ints
    start: _Ints
    length: _Ints


class _Literals(NamedTuple):
    """Characters met for the first time: in which row, where in its output, which one."""

    row: _Ints
    place: _Ints
    character: _Ints


def _unpack(seeds: list[str]) -> tuple[_Phrases, _Literals] | None:
    """Follow the codes of all rows to their ends; None when a row is no canonical stream."""
    streams = _Streams(seeds)
    phrases, literals = [], []
    # A step learns two phrases at most.
    for _ in range(_MOST_PHRASES // 2 - _FIRST_PHRASE):
        code = streams.next_codes()
        if code is None or not code.size:
            break
        new = np.flatnonzero(code <= _WIDE)
        if new.size:
            literals.append(streams.take_literals(new, code))
        phrases.append(streams.put_out(code))
    if streams.row.size or not phrases:
        return None
    return (
        _Phrases(*map(np.concatenate, zip(*phrases, strict=True))),
        _Literals(*map(np.concatenate, zip(*literals, strict=True))),
    )


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
        words = _words(seeds, int(self._sizes.max()))
        self._words = words.ravel()
        self.row = np.arange(self._total)
        self._base = self.row * words.shape[1]
        self._position = np.zeros(self._total, dtype=np.int64)
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
        word: _Ints = self._words.take(self._base + (self._position >> 3), mode="clip")
        return word >> (self._position & 7)

    def next_codes(self) -> _Ints | None:
        """Read a code from each row and drop the rows that end; None when one ends wrongly."""
        code = self._peek() & _MASK.take(self.known)
        self._position += _WIDTH.take(self.known)
        going_on = code != _END
        if not going_on.all():
            ended = ~going_on
            sizes = self._sizes[self.row[ended]]
            if (self._position[ended] // 6 + 1 != sizes).any() or (self._peek()[ended] & 63).any():
                return None
            self._keep(going_on)
            code = code[going_on]
        return code

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        self.row, self.known, self.place = self.row[mask], self.known[mask], self.place[mask]
        self._base, self._position = self._base[mask], self._position[mask]

    def take_literals(self, new: _Ints, code: _Ints) -> _Literals:
        """Learn the characters that follow in the rows `new`; `code` becomes their numbers."""
        # No plain number holds a character of 16 bits: let it become one that none holds either.
        character = np.where(code[new] == _WIDE, 0, self._peek()[new] & 255)
        self._position[new] += 8
        known, place = self.known[new], self.place[new]
        slot = self._slot(self.known)[new]
        self._starts[slot + self._total] = self._starts[slot]
        self._lengths[slot + self._total] = self._lengths[slot]
        self._starts[slot], self._lengths[slot] = place, 1
        code[new] = np.maximum(known, _FIRST_PHRASE)
        self.known[new] = known + 1
        return _Literals(self.row[new], place, character)

    def put_out(self, code: _Ints) -> _Phrases:
        """Put out one phrase in each row, and begin to learn it with the character after it."""
        slot = self._slot(code)
        start, length, place = self._starts.take(slot), self._lengths.take(slot), self.place
        self.known += 1
        slot = self._slot(self.known)
        self._starts[slot], self._lengths[slot] = place, length + 1
        self.place = place + length
        return _Phrases(self.row, code, place, start, length)


def _words(seeds: list[str], longest: int) -> _Ints:
    """Give, for each byte of each row's bit stream, the 32 bits that begin there."""
    width = longest + 12 - longest % 4
    characters = np.frombuffer("".join(seed.ljust(width, "A") for seed in seeds).encode(), np.uint8)
    bits = _BITS[characters].reshape(len(seeds), 6 * width)
    octets = np.packbits(bits, axis=1, bitorder="little").astype(np.int64)
    return octets[:, :-3] | octets[:, 1:-2] << 8 | octets[:, 2:-1] << 16 | octets[:, 3:] << 24


def _spell(phrases: _Phrases, literals: _Literals, rows: int) -> NDArray[np.uint8] | None:
    """Look the characters up, a line for each row; None when a phrase was learnt twice."""
    if not phrases.length.all():
        return None  # a code beyond what was learnt
    sizes = np.bincount(phrases.row, phrases.length, rows).astype(np.int64)
    ends = np.cumsum(sizes + 1) - 1
    base = ends - sizes
    within = np.arange(phrases.length.sum())
    within -= np.repeat(np.cumsum(phrases.length) - phrases.length, phrases.length)
    source = np.arange(ends[-1] + 1)
    offset = base[phrases.row]
    target = np.repeat(offset + phrases.place, phrases.length) + within
    source[target] = np.repeat(offset + phrases.start, phrases.length) + within
    text = np.full(len(source), ord("\n"), dtype=np.uint8)
    text[base[literals.row] + literals.place] = literals.character
    origin = source[source]
    while (origin != source).any():
        source, origin = origin, origin[origin]
    text = text[source]
    following = offset + phrases.place + phrases.length
    learnt = following != ends[phrases.row]
    numbered = phrases.row * _MOST_PHRASES + phrases.code
    longer = numbered[learnt] * 16 + _CLASS[text[following[learnt]]]
    single = literals.row * 16 + _CLASS[literals.character]
    distinct = _distinct(longer, 16 * _MOST_PHRASES * rows) and _distinct(single, 16 * rows)
    return text if distinct else None


def _distinct(keys: _Ints, limit: int) -> bool:
    seen = np.zeros(limit, dtype=np.bool_)
    seen[keys] = True
    return bool(seen.sum() == len(keys))


def _numbers(text: NDArray[np.uint8], rows: int) -> Floats | None:
    """Read the rows of numbers; None unless all are written plainly and every global is legal."""
    csv = text.tobytes()
    if not _CSV.fullmatch(csv):
        return None
    counts = np.array([line.count(b",") + 1 for line in csv.split()])
    values = np.tile((*[0.0] * 12, *DEFAULT_GLOBALS), (rows, 1))
    numbers = csv.replace(b"\n", b",").split(b",")[:-1]
    values[np.arange(16) < counts[:, None]] = list(map(float, numbers))
    legal = (values[:, 12:] >= _LOW) & (values[:, 12:] <= _HIGH)
    # + 0.0 drops the sign of a written minus zero.
    return values + 0.0 if legal.all() else None
