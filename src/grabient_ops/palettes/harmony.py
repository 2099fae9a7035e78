"""Which classical colour harmonies a palette forms, by the hues that dominate it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from grabient_ops.palettes.spaces import Bytes, Floats, oklab, polar

_Mask = NDArray[np.bool_]

_SAMPLES = (0, 0.25, 0.5, 0.75)
_COLOURLESS = 0.02
_SAME_HUE = 25
_NEAR_ANGLE = 20
_MOST = 3


def harmonies(rgb: Bytes) -> list[tuple[str, ...]]:
    """Name the harmonies of each palette; a third of real palettes have none.

    Five colours are sampled over the gradient, colourless ones (OkLCh chroma <= 0.02) dropped, and
    hues within 25 degrees gathered into one dominant hue. The angles between the dominant hues
    then decide, within 20 degrees where a rule asks for an exact angle.

    Args:
        rgb: 8-bit colours, shape (n, steps, 3).

    Returns:
        For each palette at most three of `HARMONIES`, in that order.

    Source:
        The first system's rules of December 2025 (palettes tagged before have the model's words).
    """
    if not len(rgb):
        return []
    hue, present = _dominant_hues(rgb)
    found = np.stack([rule(hue, present) for rule in _RULES.values()], axis=1)
    return [tuple(HARMONIES[i] for i in np.flatnonzero(row)[:_MOST]) for row in found]


def _dominant_hues(rgb: Bytes) -> tuple[Floats, _Mask]:
    """Gather sampled hues into at most five dominant ones, strongest first; with their presence."""
    steps = rgb.shape[1]
    indices = [int(share * steps) for share in _SAMPLES] + [steps - 1]
    _, chroma, hue = polar(oklab(rgb[:, indices]))
    members = _clusters(hue, chroma > _COLOURLESS)
    weight = members * chroma[:, None, :]
    strength = weight.sum(axis=2)
    angle = np.radians(hue)[:, None, :]
    mean = np.arctan2((weight * np.sin(angle)).sum(axis=2), (weight * np.cos(angle)).sum(axis=2))
    order = np.argsort(-strength, axis=1, kind="stable")
    strongest = np.take_along_axis(np.degrees(mean) % 360, order, axis=1)
    return strongest, np.take_along_axis(strength, order, axis=1) > 0


def _clusters(hue: Floats, usable: _Mask) -> _Mask:
    """Let each unused sample take every later unused one of its hue; shape (n, leader, member)."""
    near = _distance(hue[:, :, None], hue[:, None, :]) <= _SAME_HUE
    members = np.zeros_like(near)
    free = usable.copy()
    for leader in range(hue.shape[1]):
        members[:, leader] = near[:, leader] & free & free[:, leader, None]
        free &= ~members[:, leader]
    return members


def _distance(one: Floats, other: Floats) -> Floats:
    """Angle between two hues, 0 to 180 degrees."""
    apart = np.abs(one - other) % 360
    nearest: Floats = np.minimum(apart, 360 - apart)
    return nearest


def _pairs(hue: Floats, present: _Mask) -> Floats:
    """Angles between all pairs of dominant hues, -1 where one is absent; shape (n, 10)."""
    first, second = np.triu_indices(hue.shape[1], 1)
    both = present[:, first] & present[:, second]
    return np.where(both, _distance(hue[:, first], hue[:, second]), -1)


def _monochromatic(hue: Floats, present: _Mask) -> _Mask:
    alike: _Mask = present[:, 0] & (_pairs(hue, present).max(axis=1) <= 15)
    return alike


def _complementary(hue: Floats, present: _Mask) -> _Mask:
    opposite: _Mask = _pairs(hue, present).max(axis=1) >= 160
    return opposite


def _analogous(hue: Floats, present: _Mask) -> _Mask:
    widest = _pairs(hue, present).max(axis=1)
    neighbours: _Mask = ~_monochromatic(hue, present) & (widest >= 25) & (widest <= 90)
    return neighbours


def _at_angles(*angles: int) -> Callable[[Floats, _Mask], _Mask]:
    """Ask that other dominant hues stand near each of these angles from the strongest one."""

    def rule(hue: Floats, present: _Mask) -> _Mask:
        met: _Mask = present.sum(axis=1) > len(angles)
        for angle in angles:
            off = _distance(hue[:, 1:], hue[:, :1] + angle)
            met &= np.where(present[:, 1:], off, np.inf).min(axis=1) <= _NEAR_ANGLE
        return met

    return rule


_RULES: dict[str, Callable[[Floats, _Mask], _Mask]] = {
    "monochromatic": _monochromatic,
    "complementary": _complementary,
    "analogous": _analogous,
    "triadic": _at_angles(120, 240),
    "split-complementary": _at_angles(150, 210),
    "tetradic": _at_angles(90, 180, 270),
}

HARMONIES = tuple(_RULES)
"""The names that `harmonies` may give, in the order in which it gives them."""
