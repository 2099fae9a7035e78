"""Reads the operational store from outside: what changed since a watermark, and the answers.

A watermark and the rows that belong to it come from one snapshot, so nothing is missed between
them, however many writers there are.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.manifest import Topic, Watermark
from grabient_ops.analytics.refinements import Refinement
from grabient_ops.errors import StoreError


class Snapshot(Protocol):
    """One consistent state of the store."""

    @property
    def watermark(self) -> Watermark:
        """What to remember, so that the next look begins after this state."""
        ...

    def changed(self, since: Watermark, topic: Topic = "responses") -> list[str] | None:
        """Return the batches whose rows changed since; None when that cannot be known."""
        ...

    def answers(self, batches: Sequence[str] | None) -> Iterator[Answer]:
        """Yield the answers of some batches, or of all."""
        ...

    def refinements(self, batches: Sequence[str] | None) -> Iterator[Refinement]:
        """Yield the refined palettes of some batches, or of all."""
        ...


class Source(Protocol):
    """An open store. It is used by one thread."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Begin a read transaction, which blocks nobody.

        Raises:
            StoreError: the store cannot be read.
        """
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


def open_source(url: str) -> Source:
    """Open the store at a SQLAlchemy URL for reading.

    Raises:
        StoreError: there is none, or it cannot be reached.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        message = "GRABIENT_OPS_DATABASE_URL is no database URL"
        raise StoreError(f"{message}; write one such as postgresql+psycopg://host/db") from error
    if parsed.get_backend_name() == "sqlite":
        from grabient_ops.analytics.source_sqlite import SqliteSource

        return SqliteSource(parsed.database or "")
    from grabient_ops.analytics.source_postgres import PostgresSource

    plain = parsed.set(drivername="postgresql")
    return PostgresSource(plain.render_as_string(hide_password=False))
