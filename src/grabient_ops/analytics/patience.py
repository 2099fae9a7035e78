"""Ends a question that takes too long; DuckDB itself knows no time limit, and NumPy neither."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.errors import GrabientError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_AGAIN_S = 0.1


class ImpatientError(GrabientError):
    """A question took longer than was allowed."""


class _Limit(NamedTuple):
    deadline: float
    patience_s: float

    @property
    def error(self) -> ImpatientError:
        return ImpatientError(f"it takes longer than {self.patience_s:g} s; choose fewer answers")


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Let the questions of a block take so long in all.

    Raises:
        ImpatientError: they took longer.
    """
    token = _limit.set(_Limit(time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _limit.reset(token)


def keep_to_time() -> None:
    """Raise ImpatientError where the time is up; for loops that are not DuckDB's."""
    limit = _limit.get()
    if limit is not None and time.monotonic() > limit.deadline:
        raise limit.error


@contextmanager
def interrupted_in_time(cursor: "DuckDBPyConnection") -> Iterator[None]:
    """Let no query of a cursor run on when the time is up; errors as `patience`."""
    limit = _limit.get()
    if limit is None:
        yield
        return
    import duckdb

    done = threading.Event()
    watch = threading.Thread(target=_interrupt, args=(cursor, limit, done), daemon=True)
    watch.start()
    try:
        yield
    except duckdb.InterruptException as error:
        raise limit.error from error
    finally:
        done.set()
        watch.join()


def _interrupt(cursor: "DuckDBPyConnection", limit: _Limit, done: threading.Event) -> None:
    """Interrupt again and again: a question may be several queries, and each begins afresh."""
    wait_s = max(limit.deadline - time.monotonic(), 0.0)
    while not done.wait(wait_s):
        cursor.interrupt()
        wait_s = _AGAIN_S
