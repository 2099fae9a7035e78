"""What a seed means: the numbers behind a palette, and the error when it means nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["legacy", "aligned"]
Triple: TypeAlias = tuple[float, float, float]
Coeffs: TypeAlias = tuple[Triple, Triple, Triple, Triple]
Globals: TypeAlias = tuple[float, float, float, float]

DEFAULT_GLOBALS: Globals = (0.0, 1.0, 1.0, 0.0)


class InvalidSeedError(ValueError):
    """The text is no seed.

    Attributes:
        reason: one sentence for whoever gave the text; it never quotes more than 40 characters.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Palette:
    """A cosine gradient: `a + b * cos(tau * (c * t + d))` for each channel, t from 0 to 1.

    Attributes:
        seed: the text it was read from, as it came.
        format: which of the two encodings that text has.
        coeffs: the rows a (offset), b (amplitude), c (frequency), d (phase, in turns), each for
            red, green and blue, rounded to three decimals.
        globals: exposure (added to a), contrast (times b), frequency (times c), phase (added to d).
    """

    seed: str
    format: Format
    coeffs: Coeffs
    globals: Globals

    @property
    def drawn_otherwise_today(self) -> bool:
        """Whether the site of 2026 gives this seed other colours than that of 2025 did.

        Its reader divides a phase beyond one turn by pi. Images and tags of such palettes show
        the earlier colours, and so do we.
        """
        return self.format == "legacy" and abs(self.globals[3]) > 1.001


def checked_globals(values: Sequence[float], largest_phase: float) -> Globals:
    """Give the four globals back when each is in its range.

    Args:
        values: exposure, contrast, frequency, phase, not rounded yet.
        largest_phase: how far the phase may go either way; it differs between the formats.

    Raises:
        InvalidSeedError: one of them is out of its range.
    """
    exposure, contrast, frequency, phase = values
    for name, value, low, high in (
        ("exposure", exposure, -1, 1),
        ("contrast", contrast, 0, 2),
        ("frequency", frequency, 0, 2),
        ("phase", phase, -largest_phase, largest_phase),
    ):
        if not low <= value <= high:
            raise InvalidSeedError(
                f"The global {name} {value:.10g} is outside {low:.4g} to {high:.4g}."
            )
    return exposure, contrast, frequency, phase


def palette_of(seed: str, form: Format, values: Sequence[float]) -> Palette:
    """Arrange sixteen numbers, in the order of the seed formats, as a palette."""
    coeffs = (_triple(values, 0), _triple(values, 3), _triple(values, 6), _triple(values, 9))
    return Palette(seed, form, coeffs, (values[12], values[13], values[14], values[15]))


def _triple(values: Sequence[float], start: int) -> Triple:
    return values[start], values[start + 1], values[start + 2]


def are_default(globals_: Sequence[float]) -> bool:
    """Whether the globals change nothing, so that a writer leaves them out."""
    return all(
        abs(value - default) < 0.001
        for value, default in zip(globals_, DEFAULT_GLOBALS, strict=True)
    )


def applied(coeffs: Sequence[Sequence[float]], globals_: Sequence[float]) -> Coeffs:
    """Fold the globals into the coefficients, so that the default globals draw the same."""
    (a, b, c, d), (exposure, contrast, frequency, phase) = coeffs, globals_
    return (
        (a[0] + exposure, a[1] + exposure, a[2] + exposure),
        (b[0] * contrast, b[1] * contrast, b[2] * contrast),
        (c[0] * frequency, c[1] * frequency, c[2] * frequency),
        (d[0] + phase, d[1] + phase, d[2] + phase),
    )
