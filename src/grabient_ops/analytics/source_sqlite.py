"""Reads a SQLite store. One writer at a time, so the feed's numbers are in the order of commits."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from grabient_ops.analytics.answers import ANSWERS, Answer
from grabient_ops.analytics.manifest import Topic, Watermark
from grabient_ops.analytics.refinements import REFINEMENTS, Refinement
from grabient_ops.errors import StoreError

_CHANGED = "SELECT DISTINCT key FROM changes WHERE seq > ? AND topic = ? AND key <> '*'"
_OF_BATCHES = "batch_id IN (SELECT value FROM json_each(?))"


class SqliteSnapshot:
    """A read transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        newest = connection.execute("SELECT seq, at FROM changes ORDER BY seq DESC LIMIT 1")
        seq, at = newest.fetchone() or (0, "")
        self.watermark: Watermark = {"store": "sqlite", "seq": seq, "at": at}

    def changed(self, since: Watermark, topic: Topic = "responses") -> list[str] | None:
        """Return the changed batches; None when the feed is not the one that was read before."""
        if since.get("store") != "sqlite" or not self._has(since):
            return None
        keys = self._connection.execute(_CHANGED, (since["seq"], topic))
        return [key for (key,) in keys]

    def answers(self, batches: Sequence[str] | None) -> Iterator[Answer]:
        """Yield the answers of some batches, or of all."""
        return map(Answer._make, self._rows(f"{ANSWERS} WHERE", batches))

    def refinements(self, batches: Sequence[str] | None) -> Iterator[Refinement]:
        """Yield the refined palettes of some batches, or of all."""
        return map(Refinement._make, self._rows(f"{REFINEMENTS} AND", batches))

    def _rows(self, query: str, batches: Sequence[str] | None) -> Iterator[tuple[Any, ...]]:
        if batches is None:
            return self._connection.execute(f"{query} true")
        return self._connection.execute(f"{query} {_OF_BATCHES}", (json.dumps(batches),))

    def _has(self, since: Watermark) -> bool:
        """Another file, or an older copy of this one, has no such entry of that moment."""
        if since["seq"] == 0:
            return True
        entry = self._connection.execute("SELECT at FROM changes WHERE seq = ?", (since["seq"],))
        return bool(entry.fetchone() == (since["at"],))


class SqliteSource:
    """A store in a file; raises StoreError when it cannot be read."""

    def __init__(self, path: str) -> None:
        self._path = path
        with _explained(path):
            uri = f"{Path(path).absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        # A text that is no UTF-8 must not hide the others.
        self._connection.text_factory = partial(str, encoding="utf-8", errors="replace")

    @contextmanager
    def snapshot(self) -> Iterator[SqliteSnapshot]:
        """Begin a read transaction."""
        with _explained(self._path):
            self._connection.execute("BEGIN")
            try:
                yield SqliteSnapshot(self._connection)
            finally:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StoreError(f"the store {path} cannot be read: {error}") from error
