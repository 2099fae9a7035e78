"""What can be computed about a palette: the facts against which the models' words are checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from grabient_ops.palettes.harmony import harmonies
from grabient_ops.palettes.spaces import Bytes, Floats, oklab, polar

Temperature: TypeAlias = Literal["warm", "cool", "neutral", "cool-warm"]
Contrast: TypeAlias = Literal["high", "medium", "low"]
Brightness: TypeAlias = Literal["dark", "medium", "light", "varied"]
Saturation: TypeAlias = Literal["vibrant", "muted", "mixed"]
_Word = TypeVar("_Word", bound=str)

_EXAMPLES = {
    "red": ("#ff0000", "#c81e1e", "#e63946", "#8b0000"),
    "orange": ("#ff8c00", "#ff6a1a", "#ffa54f", "#e07b39"),
    "yellow": ("#ffff00", "#ffe135", "#fff59d", "#d8c93a"),
    "green": ("#008000", "#2ecc40", "#7fff00", "#98e698", "#14431f", "#7a9a4b", "#8fae8b"),
    "cyan": ("#00ffff", "#40e0d0", "#9ff3ee", "#00c2d6"),
    "blue": ("#0000ff", "#1e78e6", "#6fb1f5", "#3f5f9e", "#a9cdf0", "#6a7fb0"),
    "purple": ("#800080", "#8a2be2", "#b57edc", "#4b0082", "#c8b3e6", "#7d5a91"),
    "pink": ("#ffc0cb", "#ff69b4", "#ff1493", "#d98ba0", "#ff00ff", "#f7a6b8"),
    "brown": ("#8b4513", "#5c3317", "#a0643c", "#6f5440", "#3a2415"),
    "beige": ("#f5f5dc", "#e8d8b8", "#d2b48c", "#f3e3cf"),
    "gray": ("#808080", "#b4b4b4", "#555555", "#d0d0d0", "#708090"),
    "black": ("#000000", "#161616", "#0d0d14"),
    "white": ("#ffffff", "#f4f4f4"),
    "gold": ("#ffd700", "#d4af37", "#b8860b", "#c9a227"),
    "teal": ("#008080", "#2f9c95", "#1f5f63", "#5f9ea0"),
    "navy": ("#000080", "#0a1a4a", "#1b2a5e", "#0b1530"),
}

DOMINANT_COLORS = tuple(_EXAMPLES)
"""The sixteen colour names that a palette's `dominant_colors` are taken from."""

_BLOCK = 1024
"""Palettes computed at once, so that memory stays flat however many there are."""
_OWNERS = np.repeat(np.arange(len(_EXAMPLES)), [len(group) for group in _EXAMPLES.values()])
_EXAMPLES_LAB = oklab(
    np.array(
        [list(bytes.fromhex(code[1:])) for group in _EXAMPLES.values() for code in group],
        dtype=np.uint8,
    )
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the colours of one palette say, in the words of the tagging vocabulary.

    Attributes:
        dominant_colors: one to four of `DOMINANT_COLORS`, the most frequent first.
        harmony: none to three of `harmony.HARMONIES`.
    """

    temperature: Temperature
    contrast: Contrast
    brightness: Brightness
    saturation: Saturation
    dominant_colors: tuple[str, ...]
    harmony: tuple[str, ...]


def facts(rgb: Bytes) -> list[Facts]:
    """Compute the facts of many palettes.

    Args:
        rgb: 8-bit colours, shape (n, steps, 3), steps >= 1; usually 11 steps.

    Returns:
        One `Facts` per palette, in order.
    """
    blocks = (rgb[start : start + _BLOCK] for start in range(0, len(rgb), _BLOCK))
    return [Facts(*values) for block in blocks for values in _columns(block)]


def _columns(rgb: Bytes) -> Iterator[tuple[Any, ...]]:
    """Give the attributes of `Facts`, in their order, for each palette."""
    lab = oklab(rgb)
    light, chroma, hue = polar(lab)
    return zip(
        _temperature(chroma, hue),
        _contrast(lab),
        _brightness(light),
        _saturation(chroma),
        _dominant_colors(lab),
        harmonies(rgb),
        strict=True,
    )


def _temperature(chroma: Floats, hue: Floats) -> list[Temperature]:
    """Weigh warm hues (pink over red to yellow) against cool ones (green over blue to violet).

    Chroma is the weight, since a pale colour hardly warms or cools. Below a mean chroma of 0.025
    people see greys. A quarter of the other side is enough to notice it.
    """
    total = chroma.sum(axis=1)
    warm = np.where((hue < 120) | (hue >= 330), chroma, 0).sum(axis=1)
    share = warm / np.maximum(total, 1e-9)
    colourless = chroma.mean(axis=1) < 0.025
    return _words(
        [colourless, share > 0.75, share < 0.25], ["neutral", "warm", "cool"], "cool-warm"
    )


def _contrast(lab: Floats) -> list[Contrast]:
    """Take the OkLab distance of the two colours that differ most; black to white is 1.

    It counts hue as well as lightness: red beside green of equal lightness is no low contrast.
    Half the way from black to white is high (a quarter of real palettes), a quarter is medium.
    """
    widest = np.linalg.norm(lab[:, :, None] - lab[:, None], axis=-1).max(axis=(1, 2))
    return _words([widest >= 0.5, widest >= 0.25], ["high", "medium"], "low")


def _brightness(light: Floats) -> list[Brightness]:
    """Judge the mean OkLab lightness, unless the palette spans half of the scale.

    0.45 is the lightness of pure blue and 0.76 that of `#b4b4b4`; black to white spans 1.
    """
    mean = light.mean(axis=1)
    return _words(
        [np.ptp(light, axis=1) >= 0.5, mean < 0.45, mean > 0.76],
        ["varied", "dark", "light"],
        "medium",
    )


def _saturation(chroma: Floats) -> list[Saturation]:
    """Count vivid colours (OkLCh chroma >= 0.12, more than a pastel ever has)."""
    vivid = (chroma >= 0.12).mean(axis=1)
    return _words([vivid >= 0.6, vivid <= 0.2], ["vibrant", "muted"], "mixed")


def _words(tests: list[NDArray[np.bool_]], words: list[_Word], otherwise: _Word) -> list[_Word]:
    """Give each palette the word of the first test that it passes."""
    chosen = np.select(tests, list(range(len(words))), len(words)).tolist()
    choices = [*words, otherwise]
    return [choices[index] for index in chosen]


def _dominant_colors(lab: Floats) -> list[tuple[str, ...]]:
    """Name each colour after the nearest example in OkLab; keep the names that hold two or more."""
    distance = (_EXAMPLES_LAB**2).sum(axis=1) - 2 * (lab @ _EXAMPLES_LAB.T)
    owner = _OWNERS[distance.argmin(axis=-1)]
    return [_most_frequent(row) for row in owner.tolist()]


def _most_frequent(row: list[int]) -> tuple[str, ...]:
    """At most four names, the most frequent first, ties as `DOMINANT_COLORS` has them."""
    ranked = sorted(set(row), key=lambda name: (-row.count(name), name))
    kept = [name for name in ranked[:4] if row.count(name) >= 2] or ranked[:1]
    return tuple(DOMINANT_COLORS[name] for name in kept)
