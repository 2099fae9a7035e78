"""The seed format of 2025: numbers joined by commas, packed by lz-string."""

import math
import re
from collections.abc import Sequence

from grabient_ops.palettes.lzstring import compress, decompress
from grabient_ops.palettes.numbers import parse_number, round3, write_number
from grabient_ops.palettes.palette import (
    DEFAULT_GLOBALS,
    InvalidSeedError,
    are_default,
    checked_globals,
)

LARGEST_PHASE = math.pi + 0.001

_SHAPE = re.compile(r"[A-Za-z0-9+\-$]{20,200}")
_PLAIN_NUMBER = r"-?(?:[0-9]{0,6}\.[0-9]{1,3}|[0-9]{1,6})"
PLAIN_NUMBERS = rf"{_PLAIN_NUMBER}(?:,{_PLAIN_NUMBER}){{11}}(?:(?:,{_PLAIN_NUMBER}){{4}})?"
"""Pattern of numbers that need no rounding, and that float() reads as JavaScript does."""
_PLAIN = re.compile(PLAIN_NUMBERS)


def read_legacy(seed: str) -> list[float]:
    """Read the sixteen numbers of a legacy seed, rounded to three decimals.

    Stricter than the site, which also accepts what merely begins with a seed or lost its end:
    only the one text that packing its numbers gives is an identity.

    Raises:
        InvalidSeedError: the text is no such seed.
    """
    if not _SHAPE.fullmatch(seed):
        raise InvalidSeedError(_shape_reason(seed))
    csv, canonical = decompress(seed)
    if csv is None:
        raise InvalidSeedError("It does not decode; a part is missing or altered.")
    if not canonical:
        raise InvalidSeedError("Its end is missing or altered, or something follows its end.")
    return _numbers(csv)


def _shape_reason(seed: str) -> str:
    foreign = re.search(r"[^A-Za-z0-9+\-$]", seed)
    if not seed:
        return "It is empty."
    if len(seed) > 200:
        return f"Its length is {len(seed)}; a seed has at most 200 characters."
    if foreign:
        return f"It holds {foreign[0]!a}, which no seed does."
    return f"Its length is {len(seed)}; a seed has at least 20 characters."


def _numbers(csv: str) -> list[float]:
    tokens = csv.split(",")
    if _PLAIN.fullmatch(csv):
        # + 0.0 drops the sign of a written minus zero.
        numbers = [float(token) + 0.0 for token in tokens]
        return numbers[:12] + _globals(numbers[12:])
    if len(tokens) not in {12, 16}:
        raise InvalidSeedError(f"It decodes to {len(tokens)} numbers instead of 12 or 16.")
    numbers = [parse_number(token) for token in tokens]
    for place, number in enumerate(numbers, start=1):
        if not math.isfinite(number):
            raise InvalidSeedError(f"It decodes, but its number {place} is not a finite number.")
    return [round3(number) for number in numbers[:12] + _globals(numbers[12:])]


def _globals(numbers: list[float]) -> list[float]:
    return list(checked_globals(numbers, LARGEST_PHASE) if numbers else DEFAULT_GLOBALS)


def write_legacy(
    coeffs: Sequence[Sequence[float]], globals_: Sequence[float] = DEFAULT_GLOBALS
) -> str:
    """Write the canonical legacy seed of a palette.

    Raises:
        InvalidSeedError: no seed can hold these numbers (out of range, not finite, too long).
    """
    numbers = [round3(number) for row in coeffs for number in row]
    rounded_globals = [round3(number) for number in globals_]
    if not are_default(rounded_globals):
        numbers += rounded_globals
    seed = compress(",".join(map(write_number, numbers)))
    read_legacy(seed)
    return seed
