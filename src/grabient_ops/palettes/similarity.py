"""How alike two palettes look, to find near-duplicates."""

import numpy as np

from grabient_ops.palettes.spaces import LINEAR, XYZ_FROM_LINEAR, Bytes, Floats

NEAR_DUPLICATE = 11
"""Palettes nearer than this look the same (433 of the site's 456 palettes are further apart)."""

_SAMPLES = 5
_WHITE = np.array([0.95047, 1.0, 1.08883])


def distances(one: Bytes, other: Bytes) -> Floats:
    """Measure every palette of one group against every palette of another.

    The distance is the mean CIE76 difference of five colours spread over the gradient, the
    smaller one of reading it forwards and backwards.

    Args:
        one: 8-bit colours, shape (n, steps, 3).
        other: likewise, shape (m, steps, 3).

    Returns:
        Distances, shape (n, m); identical palettes have 0, black and white 100.
    """
    first, second = _lab_samples(one)[:, None], _lab_samples(other)[None]
    forwards, backwards = (
        np.linalg.norm(first - turned, axis=-1).mean(axis=-1)
        for turned in (second, second[:, :, ::-1])
    )
    nearest: Floats = np.minimum(forwards, backwards)
    return nearest


def _lab_samples(rgb: Bytes) -> Floats:
    """Interpolate five colours, rounded to 8 bits again, as CIE L*a*b* (D65)."""
    place = np.linspace(0, rgb.shape[1] - 1, _SAMPLES)
    before = place.astype(np.intp)
    after = np.minimum(before + 1, rgb.shape[1] - 1)
    share = (place - before)[:, None]
    mixed = rgb[:, before] * (1 - share) + rgb[:, after] * share
    ratio = LINEAR[np.floor(mixed + 0.5).astype(np.uint8)] @ XYZ_FROM_LINEAR.T / _WHITE
    curve = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = np.moveaxis(curve, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
