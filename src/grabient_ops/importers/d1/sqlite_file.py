"""Reads a SQLite file that nobody vouches for: read-only, and without running what it defines."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from grabient_ops.errors import InputError
from grabient_ops.importers.d1.source import Item, Row, Survey
from grabient_ops.importers.values import Place, Progressed, Refused

MAGIC = b"SQLite format 3\0"

_LONGEST_CELL = 8 << 20
_MOST_TABLES = 1000
_PROGRESS_ROWS = 10_000
_SAFE = ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0")
_READING = frozenset({sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT})
_TABLES = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY rowid"
_PLAIN_COLUMN = 0


class SqliteSource:
    """A SQLite file, as wrangler keeps one; raises InputError when it cannot be read.

    Views and virtual tables are not tables here, and generated columns are not read, so nothing
    that the file defines is ever run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.survey = Survey()
        with self._explained():
            self._connection = sqlite3.connect(_uri(path), uri=True, isolation_level=None)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_CELL)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            self._connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
            for pragma in _SAFE:
                self._connection.execute(f"PRAGMA {pragma}")

    def look(self) -> Iterator[Progressed | Refused]:
        """Count the rows of all tables, and learn their columns."""
        with self._explained():
            for name, sql in self._connection.execute(_TABLES).fetchmany(_MOST_TABLES):
                if name.startswith(("sqlite_", "_cf_")) or _is_virtual(sql):
                    continue
                columns = self._connection.execute(
                    "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = ?",
                    (name, _PLAIN_COLUMN),
                )
                self.survey.columns[name] = tuple(column for (column,) in columns)
                counted = self._connection.execute(f"SELECT count(*) FROM {_quoted(name)}")  # noqa: S608 - quoted
                (self.survey.rows[name],) = counted.fetchone()
                yield Progressed(0, None)
        # From here on only cells are read.
        self._connection.set_authorizer(_allow_reading)

    def rows(self, table: str) -> Iterator[Item]:
        """Yield the rows of a table, in the order of the file."""
        names = self.survey.columns.get(table)
        if not names:
            return
        wanted = ", ".join(map(_quoted, names))
        with self._explained():
            found = self._connection.execute(f"SELECT {wanted} FROM {_quoted(table)}")  # noqa: S608 - quoted
            for number, cells in enumerate(found, start=1):
                if number % _PROGRESS_ROWS == 0:
                    yield Progressed(0, None)
                yield _row(Place(table, number), dict(zip(names, cells, strict=True)))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:
            raise InputError(f"{self._path} cannot be read as SQLite: {error}") from error


def _uri(path: Path) -> str:
    # With `immutable` SQLite would not look into the log beside the file, where the newest rows
    # may be; without a log it keeps SQLite from writing anything.
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    return f"{path.absolute().as_uri()}?mode=ro{'' if has_log else '&immutable=1'}"


def _row(place: Place, cells: dict[str, str | int | float | bytes | None]) -> Item:
    try:
        "".join(cell for cell in cells.values() if isinstance(cell, str)).encode()
    except UnicodeEncodeError:
        return Refused(place, "A text of the row is not UTF-8, or is not whole.")
    return Row(place, cells)


def _is_virtual(sql: str | None) -> bool:
    return (sql or "").lstrip().upper().startswith("CREATE VIRTUAL")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _allow_reading(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY
