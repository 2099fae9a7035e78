"""How spans of time and values of others are written for people."""

import json
from datetime import timedelta

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def span(length: timedelta | None) -> str:
    """Return a span in its two largest units, or seconds to a tenth; "" without one."""
    if length is None:
        return ""
    seconds = max(length.total_seconds(), 0.0)
    for (unit, size), (smaller, part) in zip(_UNITS, [*_UNITS[1:], ("s", 1)], strict=True):
        if seconds >= size:
            rest = int(seconds % size // part)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds:.1f} s"


def price(usd: float) -> str:
    """Return a price of a million tokens: cents, and more digits only where there are some."""
    text = f"{usd:,.4f}".rstrip("0")
    digits = text.partition(".")[2]
    return f"${text}{'0' * (2 - len(digits))}"


def plain(value: object) -> str:
    """Return a value of any kind as text: texts as they are, others as JSON; "" for nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
