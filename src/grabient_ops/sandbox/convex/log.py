"""What the deployment remembers: every version of every document, in the order of commits."""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from grabient_ops.sandbox.convex.ids import new_document_id
from grabient_ops.sandbox.http import ApiError, JsonObject

Kind = Literal["put", "delete", "truncate"]
_FIRST_TABLE = 10_001
_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY, ts INTEGER, tbl TEXT, id TEXT, kind TEXT, imported INTEGER, doc BLOB);
CREATE INDEX IF NOT EXISTS log_by_document ON log (tbl, id, seq);
CREATE INDEX IF NOT EXISTS log_by_id ON log (id, seq);
CREATE INDEX IF NOT EXISTS log_by_time ON log (ts, seq);
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, number INTEGER);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value INTEGER);
"""
_DEFAULTS = {
    "sync_page": 16_384, "snapshot_page": 1024, "deltas_page": 128, "knows_sync": 1,
    "knows_export_json": 1, "oldest_ts": 0,
}  # fmt: skip
"""Sizes of pages in documents, what this backend is too old for, and the end of retention."""

_SUPERSEDED = """EXISTS (SELECT 1 FROM log AS newer WHERE newer.tbl = log.tbl
                 AND newer.id = log.id AND newer.seq > log.seq AND newer.ts <= :until)"""


class Entry(NamedTuple):
    """One version of a document.

    Attributes:
        ts: nanoseconds since the epoch; the same for a whole transaction.
        imported: made by a snapshot import, which the older of the two exports does not see.
        document: empty unless `kind` is put.
    """

    ts: int
    table: str
    id: str
    kind: Kind
    imported: bool
    document: JsonObject


class Log:
    """A deployment's memory; a transaction is committed before its method returns.

    Use it from one thread.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the database file."""
        self._db.close()

    def setting(self, name: str) -> int:
        """Return a setting, or its default."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else _DEFAULTS[name]

    def change_settings(self, values: Mapping[str, object]) -> None:
        """Change some settings.

        Raises:
            ApiError: one is unknown, or no number; then nothing is changed.
        """
        for name, value in values.items():
            if name not in _DEFAULTS or not isinstance(value, int):
                raise ApiError(400, f"unknown setting {name!r}; known are: {', '.join(_DEFAULTS)}")
        self._db.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", values.items())

    def expire(self) -> None:
        """End the retention of everything so far: older cursors are good for nothing."""
        self.change_settings({"oldest_ts": self.newest() + 1})

    def newest(self) -> int:
        """Return the time of the last transaction, or of the end of retention if that is later."""
        newest: int | None = self._db.execute("SELECT max(ts) FROM log").fetchone()[0]
        return max(newest or 0, self.setting("oldest_ts"))

    def documents(
        self, after: tuple[str, str] = ("", ""), limit: int = -1, *, at: int | None = None
    ) -> list[Entry]:
        """Return documents as they are, or were at a time, by table and id."""
        # SQLite takes the other columns from the row with the largest `seq`.
        query = """SELECT ts, tbl, id, kind, imported, doc, max(seq) FROM log
            WHERE kind <> 'truncate' AND ts <= ? AND (tbl, id) > (?, ?)
            GROUP BY tbl, id HAVING kind = 'put' ORDER BY tbl, id LIMIT ?"""
        moment = self.newest() if at is None else at
        return [_entry(row[:6]) for row in self._db.execute(query, (moment, *after, limit))]

    def entries(self, since: int, *, latest_until: int = 0) -> Iterator[Entry]:
        """Yield what was committed after a time; of times up to `latest_until` the last word."""
        query = f"""SELECT ts, tbl, id, kind, imported, doc FROM log
            WHERE ts > :since AND NOT (ts <= :until AND kind <> 'truncate' AND {_SUPERSEDED})
            ORDER BY seq"""  # noqa: S608 - a constant
        return map(_entry, self._db.execute(query, {"since": since, "until": latest_until}))

    def find(self, document_id: str) -> Entry:
        """Return a document as it is.

        Raises:
            ApiError: there is none (400).
        """
        query = """SELECT ts, tbl, id, kind, imported, doc FROM log
            WHERE id = ? ORDER BY seq DESC LIMIT 1"""
        row = self._db.execute(query, (document_id,)).fetchone()
        if row is None or row[3] != "put":
            raise ApiError(400, f"no document {document_id}")
        return _entry(row)

    @contextmanager
    def transaction(self) -> "Iterator[Transaction]":
        """Begin a transaction, which is committed at the end of the block."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield Transaction(self, self._db, max(time.time_ns(), self.newest() + 1))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


class Transaction:
    """Changes that become visible together.

    Attributes:
        ts: its time, in nanoseconds since the epoch.
    """

    def __init__(self, log: Log, db: sqlite3.Connection, ts: int) -> None:
        self._log = log
        self._db = db
        self._imported: set[str] = set()
        self.ts = ts

    def insert(self, table: str, fields: JsonObject) -> str:
        """Add a document and return its id."""
        document_id = new_document_id(self._number(table))
        made = {"_id": document_id, "_creationTime": self.ts / 1e6}
        self._write(table, document_id, "put", {**fields, **made})
        return document_id

    def patch(self, document_id: str, fields: JsonObject) -> None:
        """Change fields of a document."""
        before = self._log.find(document_id)
        self._write(before.table, document_id, "put", {**before.document, **fields})

    def delete(self, document_id: str) -> None:
        """Remove a document."""
        self._write(self._log.find(document_id).table, document_id, "delete", {})

    def truncate(self, table: str) -> None:
        """Empty a table as an import does, which then fills it again."""
        self._imported.add(table)
        self._write(table, "", "truncate", {})
        for old in self._log.documents((table, "")):
            if old.table == table:
                self._write(table, old.id, "delete", {})

    def _write(self, table: str, document_id: str, kind: Kind, document: JsonObject) -> None:
        query = "INSERT INTO log (ts, tbl, id, kind, imported, doc) VALUES (?, ?, ?, ?, ?, ?)"
        content = orjson.dumps(as_floats(document), option=orjson.OPT_SORT_KEYS)
        imported = table in self._imported
        self._db.execute(query, (self.ts, table, document_id, kind, imported, content))

    def _number(self, table: str) -> int:
        known = dict(self._db.execute("SELECT name, number FROM tables").fetchall())
        if table not in known:
            known[table] = _FIRST_TABLE + len(known)
            self._db.execute("INSERT INTO tables VALUES (?, ?)", (table, known[table]))
        return int(known[table])


def as_floats(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Make every number a float: that is what JavaScript has stored."""
    if isinstance(value, dict):
        return {name: as_floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_floats(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _entry(row: Sequence[Any]) -> Entry:
    ts, table, document_id, kind, imported, doc = row
    return Entry(ts, table, document_id, kind, bool(imported), orjson.loads(doc))
