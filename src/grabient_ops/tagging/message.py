"""What a model is told about a palette: its colours in five notations, as compact JSON."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from grabient_ops.palettes.bulk import read_all_values
from grabient_ops.palettes.colours import color_names, hex_codes, hsl, lch
from grabient_ops.palettes.gradient import colours

_MESSAGE = '{"hex":["%s"],"rgb":[[%s]],"hsl":[[%s]],"lch":[[%s]],"colorNames":["%s"]}'
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
    return [message for block in blocks for message in _messages(block)]


def _messages(seeds: Sequence[str]) -> list[str]:
    values = read_all_values(seeds)
    rgb = colours(values[:, :12].reshape(-1, 4, 3), values[:, 12:])
    notations = zip(
        _words(hex_codes(rgb)),
        _triples(rgb),
        _triples(hsl(rgb)),
        _triples(lch(rgb)),
        _words(color_names(rgb)),
        strict=True,
    )
    return [_MESSAGE % notation for notation in notations]


def _words(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Write what stands between the first and the last quote of each row's JSON."""
    return map('","'.join, rows)


def _triples(numbers: NDArray[np.integer]) -> list[str]:
    """Write what stands inside `[[` and `]]` in each palette's JSON, all palettes at once."""
    return orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[3:-3].decode().split("]],[[")
