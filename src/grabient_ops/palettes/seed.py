"""Seeds: the text identity of a palette, read strictly and never altered."""

import re
from collections.abc import Iterator

from grabient_ops.palettes.aligned import read_aligned, write_aligned
from grabient_ops.palettes.legacy import read_legacy, write_legacy
from grabient_ops.palettes.lzstring import LONGEST, compress, decompress
from grabient_ops.palettes.palette import Format, InvalidSeedError, Palette, applied, palette_of

__all__ = [
    "InvalidSeedError",
    "Palette",
    "coeff_key",
    "read_seed",
    "read_values",
    "repair_seed",
    "write_aligned",
    "write_legacy",
]

_PIECE = re.compile(r"[A-Za-z0-9+$_-]{20,}")


def read_seed(text: str) -> Palette:
    """Read a seed of either format.

    Raises:
        InvalidSeedError: the text is none, whatever Unicode it is; `reason` says why.
    """
    return palette_of(text, seed_format(text), read_values(text))


def seed_format(text: str) -> Format:
    """Tell the format by the first character, as the site does."""
    return "aligned" if text.startswith("_") else "legacy"


def read_values(text: str) -> list[float]:
    """Read a seed's sixteen numbers: rows a, b, c, d, then the globals.

    Raises:
        InvalidSeedError: as `read_seed`.
    """
    if text.startswith("_"):
        return read_aligned(text)
    if "," in text:
        raise InvalidSeedError("It is a list of numbers, not a seed; such texts are not accepted.")
    return read_legacy(text)


def repair_seed(text: str) -> str | None:
    """Guess the valid seed that a damaged text (`<seed>.png`, a lost last character) stood for.

    Never store the guess silently: a seed that lost its end may decode to another palette.

    Returns:
        The valid seed, None when there is none or `text` is already valid.
    """
    if _is_valid(text):
        return None
    return next((guess for guess in _guesses(text[:LONGEST]) if _is_valid(guess)), None)


def _guesses(text: str) -> Iterator[str]:
    for piece in (text.strip(), *_PIECE.findall(text)):
        if piece.startswith("_"):
            yield piece[:45]
            yield piece[:37]
        else:
            yield piece
            yield compress(decompress(piece)[0] or "")


def _is_valid(text: str) -> bool:
    try:
        read_values(text)
    except InvalidSeedError:
        return False
    return True


def coeff_key(palette: Palette) -> str:
    """Name what a palette looks like, whatever the format: equal keys draw equal colours.

    It is the aligned seed of the coefficients after the globals were folded into them. For the
    few palettes that are `drawn_otherwise_today` it is the key of their colours of 2025.
    """
    return write_aligned(applied(palette.coeffs, palette.globals))
