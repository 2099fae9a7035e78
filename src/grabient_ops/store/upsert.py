"""INSERT for what may be there already, on both databases."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def insert_of(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """Return the database's own INSERT, which knows ON CONFLICT."""
    postgres = connection.dialect.name == "postgresql"
    return postgresql.insert(table) if postgres else sqlite.insert(table)


def insert_new(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows, skipping those that any unique key refuses; return how many were inserted."""
    if not rows:
        return 0
    insert = insert_of(connection, table).on_conflict_do_nothing()
    if connection.dialect.name == "postgresql":
        # There the driver does not tell how many rows a statement for many has inserted.
        return len(connection.execute(insert.returning(sa.literal(1)), rows).all())
    return connection.execute(insert, rows).rowcount
