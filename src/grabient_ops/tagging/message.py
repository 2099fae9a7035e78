"""What a model is told about a palette: its colours in five notations, as compact JSON."""

from collections.abc import Sequence

import numpy as np
import orjson

from grabient_ops.palettes.colours import color_names, hex_codes, hsl, lch
from grabient_ops.palettes.gradient import colours
from grabient_ops.palettes.seed import read_values

_BLOCK = 1024
"""Palettes computed at once: enough to feed NumPy, little enough to stay in the cache."""


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
    values = np.array([read_values(seed) for seed in seeds])
    rgb = colours(values[:, :12].reshape(-1, 4, 3), values[:, 12:])
    notations = zip(
        hex_codes(rgb),
        rgb.tolist(),
        hsl(rgb).tolist(),
        lch(rgb).tolist(),
        color_names(rgb),
        strict=True,
    )
    keys = ("hex", "rgb", "hsl", "lch", "colorNames")
    return [orjson.dumps(dict(zip(keys, row, strict=True))).decode() for row in notations]
