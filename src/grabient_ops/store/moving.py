"""Moves a whole store into an empty one, from SQLite to PostgreSQL or back.

The journal stays behind: a worker that starts on the new store finds every open batch there, and
goes on with it as after a crash. The old store is marked, so that nobody works on both.
"""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.errors import StoreError
from grabient_ops.store.engine import Store
from grabient_ops.store.leases import list_leases
from grabient_ops.store.notes import get_note, set_note
from grabient_ops.store.tables import metadata, workers

_MOVED_NOTE = "moved_to"
_PAGE = 2000
_TABLES = [table for table in metadata.sorted_tables if table is not workers]


def move_store(
    source: Store, target: Store, on_progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Copy every row of a store, and mark it as moved; all or nothing arrives.

    Nothing can be written to the source meanwhile.

    Args:
        source: where no worker works.
        target: freshly made.
        on_progress: called with the rows copied so far, and all.

    Returns:
        The rows of each table.

    Raises:
        StoreError: the source has moved before or has a worker, or the target is not empty.
    """
    with source.write() as old:
        _hold_still(old)
        refuse_moved(old)
        _refuse_worked_on(old)
        with target.write() as new:
            _refuse_filled(new, target.url)
            counts = _copy(old, new, on_progress)
        set_note(old, _MOVED_NOTE, target.url)
    return counts


def refuse_moved(connection: Connection) -> None:
    """Keep everybody away from a store that lives elsewhere now.

    Raises:
        StoreError: it has moved.
    """
    place = get_note(connection, _MOVED_NOTE)
    if place is not None:
        raise StoreError(f"the store has moved to {place}; set GRABIENT_OPS_DATABASE_URL to that")


def _hold_still(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(sa.text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))


def _refuse_worked_on(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        return  # its worker holds a lock on the home instead
    if not all(lease.is_expired for lease in list_leases(connection)):
        raise StoreError("a worker works on the store; stop it before the store is moved")


def _refuse_filled(connection: Connection, url: str) -> None:
    for table in _TABLES:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise StoreError(f"{url} is not empty: its table {table.name} has rows")


def _copy(
    old: Connection, new: Connection, on_progress: Callable[[int, int], None]
) -> dict[str, int]:
    counts = {
        table.name: old.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in _TABLES
    }
    total, done = sum(counts.values()), 0
    for table in _TABLES:
        query = sa.select(table).execution_options(yield_per=_PAGE)
        for page in old.execute(query).mappings().partitions():
            new.execute(sa.insert(table), [dict(row) for row in page])
            done += len(page)
            on_progress(done, total)
        _go_on_counting(new, table)
    return counts


def _go_on_counting(connection: Connection, table: sa.Table) -> None:
    """Have PostgreSQL give the next row a number after those that came with their own."""
    column = table.autoincrement_column
    if connection.dialect.name == "postgresql" and column is not None:
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(sa.select(sa.func.setval(sequence, sa.func.max(column))))
