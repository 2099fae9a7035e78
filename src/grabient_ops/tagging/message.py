"""What a model is told about a palette: its colours in five notations, as compact JSON."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from grabient_ops.palettes.bulk import read_colours
from grabient_ops.palettes.colours import NAMES, hsl, lch, nearest_names
from grabient_ops.palettes.spaces import Bytes

_Text = NDArray[np.uint8]
"""ASCII, one row for each palette; zeros fill up what is shorter than its place."""
_BLOCK = 2048
"""Palettes computed at once: enough to feed NumPy, little enough to keep memory flat."""


def user_messages(seeds: Sequence[str]) -> list[str]:
    """Write the user message of a tagging request for each palette.

    Byte-equal to the first system's message of December 2025, so that answers stay comparable.

    Returns:
        JSON objects with the keys `hex`, `rgb`, `hsl`, `lch` (11 colours each) and `colorNames`.

    Raises:
        InvalidSeedError: one of the seeds is none; stored seeds never are.
    """
    blocks = (seeds[start : start + _BLOCK] for start in range(0, len(seeds), _BLOCK))
    return [message for block in blocks for message in _written(read_colours(block))]


def _written(rgb: Bytes) -> list[str]:
    """Write all messages at once: as a table in which everything has its place, then closed up."""
    parts: list[bytes | _Text] = [
        *(b'{"hex":["', _hex_codes(rgb)),
        *(b'"],"rgb":[[', _triples(rgb)),
        *(b']],"hsl":[[', _triples(hsl(rgb))),
        *(b']],"lch":[[', _triples(lch(rgb))),
        *(b']],"colorNames":["', _color_names(rgb)),
        b'"]}\n',
    ]
    rows = [_repeated(part, len(rgb)) if isinstance(part, bytes) else part for part in parts]
    text = np.concatenate(rows, axis=1).tobytes().translate(None, b"\0")
    return text.decode().split("\n")[:-1]


def _repeated(text: bytes, count: int) -> _Text:
    return np.broadcast_to(np.frombuffer(text, np.uint8), (count, len(text)))


def _tokens(before: str, words: Iterable[object]) -> NDArray[np.bytes_]:
    return np.array([f"{before}{word}".encode() for word in words])


# What stands between two of them is written before each; the very first one of a row loses it.
_BEFORE = 3
_BEFORE_HEX = np.frombuffer(b'","#', np.uint8)
_FIRSTS, _OTHERS = _tokens("],[", range(361)), _tokens(",", range(361))
_NAMED = np.append(_tokens('","', NAMES), b"")
_NO_NAME = len(NAMES)


def _hex_codes(rgb: Bytes) -> _Text:
    codes = np.empty((*rgb.shape[:2], 10), dtype=np.uint8)
    codes[..., :4] = _BEFORE_HEX
    digits = np.frombuffer(rgb.tobytes().hex().encode(), np.uint8)
    codes[..., 4:] = digits.reshape(*rgb.shape[:2], 6)
    return codes.reshape(len(rgb), -1)[:, _BEFORE:]


def _triples(numbers: NDArray[np.integer]) -> _Text:
    """Write what stands inside `[[` and `]]` in each palette's JSON."""
    columns = (_FIRSTS[numbers[..., 0]], _OTHERS[numbers[..., 1]], _OTHERS[numbers[..., 2]])
    texts = [column[..., None].view(np.uint8) for column in columns]
    return np.concatenate(texts, axis=-1).reshape(len(numbers), -1)[:, _BEFORE:]


def _color_names(rgb: Bytes) -> _Text:
    """Write what stands inside `["` and `"]`: each name once, where it first appears."""
    numbers = nearest_names(rgb)
    named = numbers.copy()
    for step in range(1, numbers.shape[1]):
        is_known = (numbers[:, :step] == numbers[:, step, None]).any(axis=1)
        named[is_known, step] = _NO_NAME
    return _NAMED[named].view(np.uint8)[:, _BEFORE:]
