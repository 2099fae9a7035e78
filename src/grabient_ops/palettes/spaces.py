"""From 8-bit sRGB to linear light, and to OkLCh, where numbers differ as much as people see."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_LMS_FROM_LINEAR = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB_FROM_ROOTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _linear_of_bytes() -> Floats:
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


LINEAR = _linear_of_bytes()
"""Linear light in [0, 1] of each 8-bit channel value (IEC 61966-2-1)."""


XYZ_FROM_LINEAR = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""CIE XYZ (D65, Y of white 1) from linear sRGB, to as many digits as the site has."""


def oklab(rgb: Bytes) -> Floats:
    """Convert colours to OkLab.

    Args:
        rgb: 8-bit sRGB, shape (..., 3).

    Returns:
        L in [0, 1], a and b around [-0.4, 0.4], shape (..., 3).

    Source:
        Björn Ottosson, "A perceptual color space for image processing", 2020 (matrices of 2021).
    """
    roots = np.cbrt(LINEAR[rgb] @ _LMS_FROM_LINEAR.T)
    lab: Floats = roots @ _LAB_FROM_ROOTS.T
    return lab


def polar(lab: Floats) -> tuple[Floats, Floats, Floats]:
    """Turn OkLab of shape (..., 3) into OkLCh.

    Returns:
        Lightness [0, 1], chroma (0 to about 0.33) and hue in degrees [0, 360), each of shape (...).
    """
    light, a, b = np.moveaxis(lab, -1, 0)
    return light, np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
