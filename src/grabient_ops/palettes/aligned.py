"""The seed format of 2026: `_` and fixed-width base64url numbers, in thousandths."""

import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from grabient_ops.palettes.numbers import round3
from grabient_ops.palettes.palette import (
    DEFAULT_GLOBALS,
    InvalidSeedError,
    are_default,
    checked_globals,
)

LARGEST_PHASE = 1.001

_SHAPE = re.compile(r"_[A-Za-z0-9_-]{36}(?:[A-Za-z0-9_-]{8})?")
_COEFF_BITS, _GLOBAL_BITS = 18, 12
_COEFF_SHIFTS = range(11 * _COEFF_BITS, -1, -_COEFF_BITS)
_GLOBAL_SHIFTS = range(3 * _GLOBAL_BITS, -1, -_GLOBAL_BITS)
_COEFF_ZERO, _GLOBAL_ZERO = 1 << _COEFF_BITS - 1, 1 << _GLOBAL_BITS - 1


def read_aligned(seed: str) -> list[float]:
    """Read the sixteen numbers of an aligned seed.

    Raises:
        InvalidSeedError: the text is no such seed, or a global is out of its range.
    """
    if not _SHAPE.fullmatch(seed):
        raise InvalidSeedError(_shape_reason(seed))
    coeffs = _unpack(seed[1:37], _COEFF_BITS, _COEFF_SHIFTS)
    if len(seed) == 37:
        return [*coeffs, *DEFAULT_GLOBALS]
    globals_ = _unpack(seed[37:], _GLOBAL_BITS, _GLOBAL_SHIFTS)
    return [*coeffs, *checked_globals(globals_, LARGEST_PHASE)]


def _shape_reason(seed: str) -> str:
    foreign = re.search(r"[^A-Za-z0-9_-]", seed)
    if foreign:
        return f"It holds {foreign[0]!a}, which no seed that begins with _ does."
    return f"Its length is {len(seed)}; a seed that begins with _ has 37 or 45 characters."


def _unpack(text: str, bits: int, shifts: range) -> list[float]:
    packed = int.from_bytes(urlsafe_b64decode(text), "big")
    mask, zero = (1 << bits) - 1, 1 << bits - 1
    return [((packed >> shift & mask) - zero) / 1000 for shift in shifts]


def write_aligned(
    coeffs: Sequence[Sequence[float]], globals_: Sequence[float] = DEFAULT_GLOBALS
) -> str:
    """Write the aligned seed of a palette; coefficients beyond +-131.07 are cut to that.

    A phase of more than one turn is written without its whole turns, which draws the same.

    Raises:
        InvalidSeedError: a global is out of its range, or a number is not finite.
    """
    seed = "_" + _pack([v for row in coeffs for v in row], _COEFF_ZERO, _COEFF_BITS)
    if are_default(globals_):
        return seed
    *others, phase = globals_
    if math.isfinite(phase) and abs(phase) > LARGEST_PHASE:
        phase = math.fmod(phase, 1)
    checked = checked_globals([*others, phase], LARGEST_PHASE)
    return seed + _pack(checked, _GLOBAL_ZERO, _GLOBAL_BITS)


def _pack(values: Sequence[float], zero: int, bits: int) -> str:
    packed = 0
    for value in values:
        if not math.isfinite(value):
            raise InvalidSeedError("A number of the palette is not finite.")
        thousandths = round(round3(min(max(value, -zero / 1000), (zero - 1) / 1000)) * 1000)
        packed = packed << bits | thousandths + zero
    return urlsafe_b64encode(packed.to_bytes(len(values) * bits // 8, "big")).decode()
