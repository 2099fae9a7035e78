"""What the sandbox remembers: files, batches and counters in SQLite, contents beside it."""

import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, provider TEXT, doc BLOB);
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, provider TEXT, content TEXT,
    deleted INTEGER DEFAULT 0, doc BLOB, fates BLOB);
CREATE INDEX IF NOT EXISTS batches_by_content ON batches (content);
CREATE TABLE IF NOT EXISTS deleted_results (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """An uploaded file; its bytes are the blob of the same id.

    Attributes:
        ready: False while a resumable upload is under way.
        note: what the provider's own file object needs beyond this.
    """

    id: str
    provider: str
    name: str
    size: int
    created_at: float
    ready: bool = True
    note: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One accepted batch: all that its life and its results are computed from.

    Attributes:
        total: lines in the input blob.
        created_at: unix time; everything later follows from it and `latency_s`.
        salt: hex; with a line's position it decides that line's answer.
        faults: names of the faults that were drawn for this batch.
        sent: what the client gave at creation (metadata, display name, API version ...).
        problems: why the whole file is refused; empty when it runs.
        cancel_at: unix time of the first cancel.
        poll_errors: how many of the next polls fail.
        fates: one letter per line, see `lifecycle`.
    """

    id: str
    provider: str
    model: str
    total: int
    created_at: float
    latency_s: float
    input_file: str
    salt: str = ""
    faults: tuple[str, ...] = ()
    sent: dict[str, Any] = field(default_factory=dict)
    problems: tuple[dict[str, Any], ...] = ()
    cancel_at: float | None = None
    poll_errors: int = 0
    fates: bytes = field(default=b"", repr=False)


class State:
    """The sandbox's memory; every method commits before it returns.

    Use it from one thread. A killed process loses nothing that a method has returned from.
    """

    def __init__(self, path: Path) -> None:
        self._blobs = path.with_name(path.name + ".files")
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the database file."""
        self._db.close()

    def blob(self, name: str) -> Path:
        """Where the bytes of a file are, or belong."""
        return self._blobs / name.replace("/", "_")

    def save_file(self, file: StoredFile) -> None:
        """Insert a file or replace it."""
        doc = orjson.dumps(asdict(file))
        sql = "INSERT INTO files (id, provider, doc) VALUES (?, ?, ?)"
        sql += " ON CONFLICT (id) DO UPDATE SET doc = excluded.doc"
        self._db.execute(sql, (file.id, file.provider, doc))

    def file(self, provider: str, file_id: str) -> StoredFile | None:
        """Return a file of this provider, or None."""
        sql = "SELECT doc FROM files WHERE provider = ? AND id = ?"
        row = self._db.execute(sql, (provider, file_id)).fetchone()
        return StoredFile(**orjson.loads(row[0])) if row else None

    def files(self, provider: str) -> Iterator[StoredFile]:
        """All files of a provider, newest first."""
        sql = "SELECT doc FROM files WHERE provider = ? ORDER BY seq DESC"
        for (doc,) in self._db.execute(sql, (provider,)):
            yield StoredFile(**orjson.loads(doc))

    def delete_file(self, file: StoredFile) -> None:
        """Forget a file and its bytes; batches made of it keep what they need."""
        self._db.execute("DELETE FROM files WHERE id = ?", (file.id,))
        self.blob(file.id).unlink(missing_ok=True)

    def delete_result(self, file_id: str) -> None:
        """Hide a result file for good; it is made of its batch, so there is no row to remove."""
        self._db.execute("INSERT OR IGNORE INTO deleted_results VALUES (?)", (file_id,))

    def is_deleted_result(self, file_id: str) -> bool:
        """Whether this result file was hidden."""
        sql = "SELECT 1 FROM deleted_results WHERE id = ?"
        return self._db.execute(sql, (file_id,)).fetchone() is not None

    def add_batch(self, batch: Batch, content: str) -> None:
        """Accept a batch; `content` is the digest that `repeats` counts."""
        sql = "INSERT INTO batches (id, provider, content, doc, fates) VALUES (?, ?, ?, ?, ?)"
        self._db.execute(sql, (batch.id, batch.provider, content, _pack(batch), batch.fates))

    def update_batch(self, batch: Batch) -> None:
        """Replace a batch's document; its fates never change."""
        self._db.execute("UPDATE batches SET doc = ? WHERE id = ?", (_pack(batch), batch.id))

    def delete_batch(self, batch: Batch) -> None:
        """Hide a batch from its provider; the ledger keeps it."""
        self._db.execute("UPDATE batches SET deleted = 1 WHERE id = ?", (batch.id,))

    def repeats(self, content: str) -> int:
        """How many batches of exactly this content were accepted before."""
        sql = "SELECT count(*) FROM batches WHERE content = ?"
        return int(self._db.execute(sql, (content,)).fetchone()[0])

    def batch(self, provider: str, batch_id: str) -> Batch | None:
        """Return a batch that its provider still shows, or None."""
        sql = "SELECT doc, fates FROM batches WHERE provider = ? AND id = ? AND NOT deleted"
        row = self._db.execute(sql, (provider, batch_id)).fetchone()
        return _unpack(*row) if row else None

    def batches(self, provider: str) -> Iterator[Batch]:
        """The batches that a provider shows, newest first."""
        sql = "SELECT doc, fates FROM batches WHERE provider = ? AND NOT deleted ORDER BY seq DESC"
        return (_unpack(*row) for row in self._db.execute(sql, (provider,)))

    def all_batches(self) -> Iterator[Batch]:
        """Every batch ever accepted, oldest first, deleted ones included."""
        return (
            _unpack(*row) for row in self._db.execute("SELECT doc, fates FROM batches ORDER BY seq")
        )

    def count(self, name: str) -> int:
        """Add one to a counter and return what it was before."""
        sql = "INSERT INTO counters VALUES (?, 1)"
        sql += " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
        return int(self._db.execute(sql, (name,)).fetchone()[0]) - 1

    def counters(self, prefix: str) -> dict[str, int]:
        """Every counter whose name begins so, without that beginning, by name."""
        sql = "SELECT substr(name, ?), value FROM counters WHERE substr(name, 1, ?) = ? ORDER BY 1"
        return dict(self._db.execute(sql, (len(prefix) + 1, len(prefix), prefix)).fetchall())


def _pack(batch: Batch) -> bytes:
    return orjson.dumps(asdict(replace(batch, fates=b"")) | {"fates": ""})


def _unpack(doc: bytes, fates: bytes) -> Batch:
    content = orjson.loads(doc)
    content["faults"] = tuple(content["faults"])
    content["problems"] = tuple(content["problems"])
    return Batch(**content | {"fates": fates})
