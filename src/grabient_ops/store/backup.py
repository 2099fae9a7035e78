"""Makes copies of a store from which work can go on although it went on after they were made.

A copy does not know what was sent later. So it knows its own age: a batch that is older and has
no id of a provider's is looked for there before it is created. The journal stays behind, for it
would be of another moment; a worker begins a new one.
"""

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import Connection

from grabient_ops.errors import InputError, StoreError
from grabient_ops.store.batches import Batch
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.leases import list_leases
from grabient_ops.store.notes import get_note, set_note

_RESTORED_NOTE = "restored_at"


def copy_sqlite(source: Path, target: Path, at: datetime) -> None:
    """Copy a store on SQLite, as it is at one moment; others may go on writing to it.

    What bears the name of the target is whole and marked, or is not there.

    Raises:
        InputError: the target exists.
        StoreError: the disk is full, or the source cannot be read.
    """
    if target.exists():
        raise InputError(f"{target} exists already; name another folder")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", [str(part)])
    except sqlite3.Error as error:
        raise StoreError(f"the copy {part} failed: {error}") from error
    copy = open_store(f"sqlite:///{part}")
    try:
        mark_restored(copy, at)
    finally:
        copy.close()
    _sync(part)
    part.rename(target)
    _sync(target.parent)


def mark_restored(store: Store, at: datetime) -> None:
    """Say that what was not sent when a store was copied may have been sent since.

    Args:
        store: the copy.
        at: when it was copied, or any later moment before work goes on.

    Raises:
        StoreError: somebody works on it already.
    """
    with store.write() as connection:
        living = _count_living(connection) if store.is_shared else 0
        if living:
            raise StoreError(f"{living} workers work on {store.url}; stop them before it is marked")
        set_note(connection, _RESTORED_NOTE, at.isoformat())


def is_from_before_restore(connection: Connection, batch: Batch) -> bool:
    """Whether a batch was planned before the store was copied: then its row may be out of date."""
    note = get_note(connection, _RESTORED_NOTE)
    return note is not None and batch.created_at <= datetime.fromisoformat(note)


def _count_living(connection: Connection) -> int:
    return sum(not lease.is_expired for lease in list_leases(connection))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
