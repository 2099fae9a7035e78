"""Numbers as JavaScript reads, rounds and the seed format writes them, to the last bit."""

import math
import re

_NUMBER = re.compile(
    r"[\t\n\v\f\r \xa0\ufeff\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
    r"([+-]?(?:Infinity|[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?))"
)
_UNFOLDED = 1e21
"""From here on JavaScript's `toFixed` leaves a number as it is."""


def parse_number(token: str) -> float:
    """Read the number that a token begins with, as `parseFloat` does; NaN when there is none.

    As in the site's reader, a missing zero before the point is put there first (so `.` is 0).
    """
    if token.startswith((".", "-.")):
        token = token.replace(".", "0.", 1)
    match = _NUMBER.match(token)
    return float(match[1]) if match else math.nan


def round3(number: float) -> float:
    """Round to three decimals as `Number(x.toFixed(3))` does: exact ties go away from zero.

    Python's `round` sends ties to the even digit. A binary fraction lies exactly between two
    thousandths only when it is an odd number of sixteenths. Zero comes back without a sign.
    """
    if number * 16 % 2 == 1:
        return math.copysign(math.floor(abs(number) * 1000 + 0.5) / 1000, number)
    return round(number, 3) + 0.0


def write_number(number: float) -> str:
    """Write a number as legacy seeds hold it: `0`, `.500`, `-.250`, `1.000`, `-12.345`."""
    rounded = round3(number)
    if rounded == 0:
        return "0"
    if abs(rounded) >= _UNFOLDED:
        return repr(rounded)
    text = f"{rounded:.3f}"
    return text.replace("0.", ".", 1) if abs(rounded) < 1 else text
