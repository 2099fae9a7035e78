"""Everything that can be said about palettes from their seeds alone."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from grabient_ops.palettes.colours import color_names, hex_codes, hsl, lch
from grabient_ops.palettes.gradient import colours
from grabient_ops.palettes.seed import InvalidSeedError, Palette, coeff_key, read_seed
from grabient_ops.palettes.spaces import Bytes
from grabient_ops.palettes.theory import Facts, facts


@dataclass(frozen=True, slots=True)
class Looks:
    """The colours of a palette, first to last, in several notations.

    Attributes:
        rgb: 11 rows of 8-bit red, green, blue.
        hsl: 11 rows of degrees, percent, percent.
        lch: 11 rows of CIE lightness, chroma, degrees.
        color_names: the nearest of 41 names, each once, in order of appearance.
    """

    hex: list[str]
    rgb: list[list[int]]
    hsl: list[list[int]]
    lch: list[list[int]]
    color_names: list[str]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Description:
    """One seed, explained.

    Attributes:
        reason: why the seed is invalid, one sentence; None when it is valid.
        palette, looks: None when the seed is invalid.
    """

    seed: str
    reason: str | None
    palette: Palette | None
    looks: Looks | None

    @property
    def valid(self) -> bool:
        """Whether the text is a seed at all."""
        return self.palette is not None

    def to_json(self) -> dict[str, Any]:
        """Give the object that `palettes show --json` prints; an invalid seed has a reason only."""
        if self.palette is None or self.looks is None:
            return {"seed": self.seed, "valid": False, "reason": self.reason}
        return {
            "seed": self.seed,
            "valid": True,
            "format": self.palette.format,
            "coeffs": self.palette.coeffs,
            "globals": self.palette.globals,
            "coeff_key": coeff_key(self.palette),
            **asdict(self.looks),
        }


def describe(seeds: Sequence[str]) -> list[Description]:
    """Describe seeds, stored or not, valid or not; one description each, in order."""
    read = [_palette_or_reason(seed) for seed in seeds]
    looks = _looks([palette for palette in read if isinstance(palette, Palette)])
    return [
        Description(seed, None, result, next(looks))
        if isinstance(result, Palette)
        else Description(seed, result, None, None)
        for seed, result in zip(seeds, read, strict=True)
    ]


def _palette_or_reason(seed: str) -> Palette | str:
    try:
        return read_seed(seed)
    except InvalidSeedError as error:
        return error.reason


def colours_of(palettes: Sequence[Palette]) -> Bytes:
    """Sample palettes at the usual 11 steps; shape (n, 11, 3)."""
    coeffs = np.array([palette.coeffs for palette in palettes]).reshape(-1, 4, 3)
    globals_ = np.array([palette.globals for palette in palettes]).reshape(-1, 4)
    return colours(coeffs, globals_)


def _looks(palettes: Sequence[Palette]) -> Iterator[Looks]:
    rgb = colours_of(palettes)
    columns = (
        hex_codes(rgb),
        rgb.tolist(),
        hsl(rgb).tolist(),
        lch(rgb).tolist(),
        color_names(rgb),
        facts(rgb),
    )
    return (Looks(*values) for values in zip(*columns, strict=True))
