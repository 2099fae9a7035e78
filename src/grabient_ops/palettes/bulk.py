"""The numbers of many seeds at once, many times faster than one seed after the other.

All legacy seeds of a block are unpacked in step: one NumPy operation takes one code from each.
That works because every lz-string phrase is a piece of what was put out before it, so two numbers
say it: how far back it stands and how long it is. Characters are looked up at the very end.

Anything unusual in a block sends the whole block to `read_values`, which this must always equal.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from grabient_ops.palettes import aligned, legacy
from grabient_ops.palettes.palette import DEFAULT_GLOBALS
from grabient_ops.palettes.seed import read_values
from grabient_ops.palettes.spaces import Floats

_Ints = NDArray[np.int64]

_WORTHWHILE = 64
"""Fewer legacy seeds than this are faster one by one."""
_MOST_ROWS = 1 << 16
_MOST_PHRASES = 256
"""Real seeds have about 100; one with more is read by itself."""

_LEGACY = re.compile(r"(?:[A-Za-z0-9+-]{20,200}\n)*+")
_ALIGNED = re.compile(r"(?:_[A-Za-z0-9_-]{36}(?:[A-Za-z0-9_-]{8})?\n)*+")
_DEFAULT_TAIL = "gAvovogA"
"""The default globals as an aligned seed would spell them."""
_NUMERIC = b"0123456789.,-\n"
_LARGEST_PLAIN = 1e6
"""Below this a number of three decimals survives multiplication by a thousand and rounding."""

_SEXTET = np.zeros(128, dtype=np.int64)
_SEXTET[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-")] = range(64)
_SEXTET_ALIGNED = _SEXTET.copy()
_SEXTET_ALIGNED[list(b"-_")] = 62, 63
_BITS = (_SEXTET[:, None] >> np.arange(5, -1, -1) & 1).astype(np.uint8)
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


def _aligned_values(seeds: list[str]) -> Floats | None:
    """Read aligned seeds together; None when one is invalid."""
    if not seeds or not _ALIGNED.fullmatch("\n".join([*seeds, ""])):
        return None
    full = "".join([seed if len(seed) == 45 else seed + _DEFAULT_TAIL for seed in seeds])
    sextets = _SEXTET_ALIGNED[np.frombuffer(full.encode(), np.uint8)].reshape(-1, 45)
    coeffs = sextets[:, 1:37:3] << 12 | sextets[:, 2:37:3] << 6 | sextets[:, 3:37:3]
    globals_ = sextets[:, 37::2] << 6 | sextets[:, 38::2]
    values = np.hstack((coeffs - aligned.COEFF_ZERO, globals_ - aligned.GLOBAL_ZERO)) / 1000
    return values if _are_legal(values, aligned.LARGEST_PHASE) else None


def _are_legal(values: Floats, largest_phase: float) -> bool:
    low, high = (-1, 0, 0, -largest_phase), (1, 2, 2, largest_phase)
    return bool(((values[:, 12:] >= low) & (values[:, 12:] <= high)).all())


def _legacy_values(seeds: list[str]) -> Floats | None:
    """Read seeds in step; None when there are few, or one is invalid or merely unusual."""
    if not _WORTHWHILE <= len(seeds) < _MOST_ROWS:
        return None
    if not _LEGACY.fullmatch("\n".join([*seeds, ""])):
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


def _unpack(seeds: list[str]) -> tuple[_Phrases, _Characters] | None:
    """Follow the codes of all rows to their ends; None when a row is no canonical stream."""
    streams = _Streams(seeds)
    # A step learns two phrases at most.
    for _ in range(_MOST_PHRASES // 2 - _FIRST_PHRASE):
        if not streams.step():
            return None
        if not streams.row.size:
            return streams.so_far()
    return None


class _Streams:
    """The rows whose end is not reached: where each stands, and where its phrases are.

    Attributes:
        row: their numbers.
        known: how many phrases each knows (with the three codes that are none).
        place: how many characters each has put out.
    """

    def __init__(self, seeds: list[str]) -> None:
        self._total = len(seeds)
        sizes = np.array([len(seed) for seed in seeds])
        words = _words(seeds, int(sizes.max()))
        self._words = words.ravel()
        self.row = np.arange(self._total)
        self._bit = self.row * (8 * words.shape[1])
        self._last_character = self._bit // 6 * 6 + 6 * sizes - 6
        self.place = np.zeros(self._total, dtype=np.int64)
        # A phrase that is being learnt stands at `known`. The very first one is the character that
        # the stream begins with; learning it as a phrase of length 1 gives it its number, 3.
        self.known = np.full(self._total, _FIRST_PHRASE - 1)
        self._starts, self._lengths = np.zeros((2, _MOST_PHRASES * self._total), dtype=np.int64)
        self._lengths[self._slot(self.known)] = 1
        self._phrases: list[_Phrases] = []
        self._characters: list[_Characters] = []
