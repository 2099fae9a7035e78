"""The notations of colours that models and people read: hex, HSL, LCH and the nearest of 41 names.

Everything is computed from 8-bit sRGB of shape (n, steps, 3), and rounded as the site's JavaScript
does, so that a message built today equals, byte for byte, one built by the first system.
"""

import numpy as np
from numpy.typing import NDArray

from grabient_ops.palettes.spaces import LINEAR, XYZ_FROM_LINEAR, Bytes, Floats

Ints = NDArray[np.int64]

COLOR_NAMES = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "orange": (255, 165, 0),
    "pink": (255, 192, 203),
    "purple": (128, 0, 128),
    "brown": (165, 42, 42),
    "gray": (128, 128, 128),
    "gold": (255, 215, 0),
    "teal": (0, 128, 128),
    "navy": (0, 0, 128),
    "maroon": (128, 0, 0),
    "olive": (128, 128, 0),
    "turquoise": (64, 224, 208),
    "indigo": (75, 0, 130),
    "violet": (238, 130, 238),
    "beige": (245, 245, 220),
    "tan": (210, 180, 140),
    "coral": (255, 127, 80),
    "salmon": (250, 128, 114),
    "khaki": (240, 230, 140),
    "lavender": (230, 230, 250),
    "peach": (255, 218, 185),
    "mint": (189, 252, 201),
    "lime": (0, 255, 0),
    "aqua": (0, 255, 255),
    "silver": (192, 192, 192),
    "crimson": (220, 20, 60),
    "chocolate": (210, 105, 30),
    "ivory": (255, 255, 240),
    "azure": (240, 255, 255),
    "plum": (221, 160, 221),
    "orchid": (218, 112, 214),
    "rose": (255, 0, 127),
    "slate": (112, 128, 144),
    "charcoal": (54, 69, 79),
}
"""Name to 8-bit sRGB; where two are equally near, the one listed first wins."""

NAMES = tuple(COLOR_NAMES)
_NAMED = np.array(list(COLOR_NAMES.values()), dtype=np.float64)
# Times (red, green, blue, 1) it gives, for each name, 64 * (|name|^2 - 2 colour.name) + its number:
# that orders names as the distance does, and of equals the first comes first. All is exact.
_RANKING = np.column_stack((-128 * _NAMED, 64 * (_NAMED**2).sum(axis=1) + np.arange(len(_NAMED))))
_AT_ONCE = 1024
"""Colours named at once: larger products wake BLAS's threads, which cost more than they bring."""

_WHITE = (95.047, 100.0, 108.883)
_XYZ_OF_BYTES = XYZ_FROM_LINEAR[:, :, None] * (LINEAR * 100)


def hex_codes(rgb: Bytes) -> list[list[str]]:
    """Write colours as `#rrggbb`, one list per palette."""
    steps = rgb.shape[1]
    codes = ("#" + rgb.tobytes().hex(" ", 3).replace(" ", " #")).split()
    return [codes[start : start + steps] for start in range(0, rgb.size // 3, steps)]


def hsl(rgb: Bytes) -> Ints:
    """Convert to hue (degrees, 0 to 360 inclusive), saturation and lightness (percent)."""
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    light, spread = (high + low) / 2, high - low
    coloured = spread > 0
    divisor = np.where(coloured, spread, 1)
    hue = np.select(
        [high == red, high == green],
        [(green - blue) / divisor + np.where(green < blue, 6, 0), (blue - red) / divisor + 2],
        (red - green) / divisor + 4,
    )
    width = np.where(light > 0.5, 2 - high - low, high + low)
    saturation = spread / np.where(coloured, width, 1)
    return _rounded(np.where(coloured, hue, 0) / 6 * 360, saturation * 100, light * 100)


def lch(rgb: Bytes) -> Ints:
    """Convert to CIE L, C (both about 0 to 100) and hue (degrees, 0 to 360 inclusive), D65."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    x, y, z = (
        _lab_curve((of_red[red] + of_green[green] + of_blue[blue]) / white)
        for (of_red, of_green, of_blue), white in zip(_XYZ_OF_BYTES, _WHITE, strict=True)
    )
    a, b = 500 * (x - y), 200 * (y - z)
    hue = np.degrees(np.arctan2(b, a))
    return _rounded(116 * y - 16, np.sqrt(a * a + b * b), np.where(hue < 0, hue + 360, hue))


def _lab_curve(ratio: Floats) -> Floats:
    return np.where(ratio > 0.008856, np.power(ratio, 1 / 3), (903.3 * ratio + 16) / 116)


def color_names(rgb: Bytes) -> list[list[str]]:
    """Name the colours of each palette after the nearest of `COLOR_NAMES`, each name once.

    Names stand in the order of their first appearance.
    """
    rows = nearest_names(rgb).tolist()
    return [[NAMES[number] for number in dict.fromkeys(row)] for row in rows]


def nearest_names(rgb: Bytes) -> Ints:
    """Give the place in `NAMES` of the name that is nearest to each colour, by squared distance."""
    points = np.ones((4, rgb.size // 3))
    points[:3] = rgb.reshape(-1, 3).T
    nearest = np.empty(points.shape[1], dtype=np.int64)
    for start in range(0, len(nearest), _AT_ONCE):
        ranks = _RANKING @ points[:, start : start + _AT_ONCE]
        nearest[start : start + _AT_ONCE] = ranks.min(axis=0)
    return (nearest & 63).reshape(rgb.shape[:2])


def _rounded(*channels: Floats) -> Ints:
    """Stack channels, each rounded half up as JavaScript's Math.round does."""
    return np.floor(np.stack(channels, axis=-1) + 0.5).astype(np.int64)
