"""Ends a question that takes too long; DuckDB itself knows no time limit."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from grabient_ops.errors import GrabientError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_AGAIN_S = 0.1


class ImpatientError(GrabientError):
    """A question took longer than was allowed."""


@contextmanager
def until_impatient(cursor: "DuckDBPyConnection", patience_s: float | None) -> Iterator[None]:
    """Let queries of a cursor run for so long in all, and not at all after that.

    Raises:
        ImpatientError: it took longer.
    """
    if patience_s is None:
        yield
        return
    import duckdb

    done = threading.Event()
    watch = threading.Thread(target=_interrupt, args=(cursor, patience_s, done), daemon=True)
    watch.start()
    try:
        yield
    except duckdb.InterruptException as error:
        message = f"it takes longer than {patience_s:g} s; choose fewer answers"
        raise ImpatientError(message) from error
    finally:
        done.set()
        watch.join()


def _interrupt(cursor: "DuckDBPyConnection", patience_s: float, done: threading.Event) -> None:
    """Interrupt again and again: a question may be several queries, and each begins afresh."""
    wait_s = patience_s
    while not done.wait(wait_s):
        cursor.interrupt()
        wait_s = _AGAIN_S
