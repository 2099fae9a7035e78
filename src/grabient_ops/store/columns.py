"""Column types that hold the same values on SQLite and on PostgreSQL."""

import re
from datetime import UTC, datetime
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from typing_extensions import override

_MARK = "\uffff"
_ESCAPES = {"\0": f"{_MARK}0", _MARK: f"{_MARK}1"}
_TO_ESCAPE = re.compile(f"[\0{_MARK}]")
_ESCAPED = re.compile(f"{_MARK}[01]")


def escape_nul(text: str) -> str:
    """Write NUL, which PostgreSQL cannot hold, as U+FFFF and `0` (U+FFFF itself with `1`).

    No assigned character is changed, so whatever models really write is stored as it came.
    """
    if "\0" not in text and _MARK not in text:
        return text
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)


def unescape_nul(text: str) -> str:
    """Return what `escape_nul` was given."""
    if _MARK not in text:
        return text
    return _ESCAPED.sub(lambda found: "\0" if found[0][1] == "0" else _MARK, text)


class _TextWithoutNul(sa.types.TypeDecorator[str]):
    """Any text, on PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape_nul(value)

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unescape_nul(value)


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, kept as ISO 8601 text of fixed width: sortable and legible."""

    impl = sa.String(32)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else _as_text(value)

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


@lru_cache(maxsize=64)
def _as_text(value: datetime) -> str:
    """A thousand rows share one moment."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


Text = sa.Text().with_variant(_TextWithoutNul(), "postgresql")
"""Any Unicode text. Order is that of code points: migrations see to it on PostgreSQL."""
Json = sa.JSON(none_as_null=True)
"""On PostgreSQL `json`, which keeps what `jsonb` refuses (an escaped NUL)."""
Cost = sa.BigInteger
"""Pico-dollars (1e-12 USD): prices per token are whole numbers of them, so sums are exact."""
