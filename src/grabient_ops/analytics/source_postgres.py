"""Reads a PostgreSQL store. Transactions commit in any order there, so snapshots are compared.

A sequence number or a time loses rows: a transaction that began earlier may commit later. What is
new is exactly what the present snapshot sees and the former one did not.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import IsolationLevel

from grabient_ops.analytics.answers import ANSWERS, Answer
from grabient_ops.analytics.manifest import Topic, Watermark
from grabient_ops.analytics.refinements import REFINEMENTS, Refinement
from grabient_ops.errors import StoreError

_PAGE = 10_000
_ESCAPED = re.compile("\uffff[01]")
_STATE: LiteralString = """
SELECT (SELECT system_identifier FROM pg_control_system())::text
       || '/' || (SELECT timeline_id FROM pg_control_checkpoint())
       || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()),
       pg_current_snapshot()::text"""
_CHANGED: LiteralString = """
SELECT DISTINCT key FROM changes
WHERE xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
  AND NOT pg_visible_in_snapshot(xid, %(since)s::pg_snapshot)
  AND topic = %(topic)s AND key <> '*'"""

_OF_BATCHES = "batch_id = ANY(%(batches)s)"


class PostgresSnapshot:
    """A read transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        cluster, snapshot = connection.execute(_STATE).fetchone() or ("", "")
        self.watermark: Watermark = {
            "store": "postgresql",
            "cluster": cluster,
            "snapshot": snapshot,
        }

    def changed(self, since: Watermark, topic: Topic = "responses") -> list[str] | None:
        """Return the changed batches; None when transactions were counted elsewhere before."""
        if since.get("cluster") != self.watermark["cluster"]:
            return None
        keys = self._connection.execute(_CHANGED, {"since": since["snapshot"], "topic": topic})
        return [key for (key,) in keys]

    def answers(self, batches: Sequence[str] | None) -> Iterator[Answer]:
        """Yield the answers of some batches, or of all."""
        for row in self._rows(f"{ANSWERS} WHERE", batches):
            yield _as_given(Answer._make(row))

    def refinements(self, batches: Sequence[str] | None) -> Iterator[Refinement]:
        """Yield the refined palettes of some batches, or of all."""
        return map(Refinement._make, self._rows(f"{REFINEMENTS} AND", batches))

    def _rows(self, query: str, batches: Sequence[str] | None) -> Iterator[tuple[Any, ...]]:
        chosen = "true" if batches is None else _OF_BATCHES
        with self._connection.cursor("rows") as cursor:
            cursor.itersize = _PAGE
            cursor.execute(f"{query} {chosen}".encode(), {"batches": batches})
            yield from cursor


class PostgresSource:
    """A store on a server; raises StoreError when it cannot be read."""

    def __init__(self, conninfo: str) -> None:
        with _explained():
            self._connection = psycopg.connect(conninfo)
        self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """Begin a read transaction."""
        with _explained(), self._connection.transaction():
            yield PostgresSnapshot(self._connection)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _as_given(answer: Answer) -> Answer:
    """Undo what lets PostgreSQL hold NUL (`store.columns.escape_nul`), where models may say it."""
    if not any(isinstance(cell, str) and "\uffff" in cell for cell in answer):
        return answer
    cells = (_unescaped(cell) if isinstance(cell, str) else cell for cell in answer)
    return Answer._make(cells)._replace(tags=answer.tags)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\0" if found[0][1] == "0" else "\uffff", text)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(f"the store cannot be read: {error}") from error
