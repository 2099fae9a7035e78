"""From coefficients to colours: the cosine gradient of all palettes at once."""

import math

import numpy as np

from grabient_ops.palettes.spaces import Bytes, Floats

STEPS = 11
"""How many colours stand for a palette wherever it is shown, tagged or judged."""

_TAU = math.pi * 2


def colours(coeffs: Floats, globals_: Floats, steps: int = STEPS) -> Bytes:
    """Sample the gradients, to the same 8-bit values as the site.

    Args:
        coeffs: rows a, b, c, d of each palette, float64 of shape (n, 4, 3).
        globals_: exposure, contrast, frequency, phase of each palette, shape (n, 4).
        steps: how many colours, evenly spread from the first to the last; at least 1.

    Returns:
        8-bit sRGB, shape (n, steps, 3). Where numbers are so large that the wave has no value,
        the channel is 0.
    """
    exposure, contrast, frequency, phase = np.moveaxis(globals_, 1, 0)[:, :, None]
    with np.errstate(over="ignore", invalid="ignore"):
        a, b = coeffs[:, 0] + exposure, coeffs[:, 1] * contrast
        c, d = coeffs[:, 2] * frequency, coeffs[:, 3] + phase
        t = (np.arange(steps) / max(steps - 1, 1))[:, None]
        wave = np.cos(_TAU * (c[:, None] * t + d[:, None]))
        values = np.clip(a[:, None] + b[:, None] * wave, 0, 1)
    # floor(x + 0.5) is JavaScript's Math.round; NumPy's rounds half to even.
    rounded: Bytes = np.floor(np.nan_to_num(values) * 255 + 0.5).astype(np.uint8)
    return rounded
