"""Runs migrations inside the transaction that the caller has opened."""

import sqlalchemy as sa
from alembic import context
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import metadata

_COLUMNS_IN_ANOTHER_ORDER = sa.text("""
SELECT format('ALTER TABLE %I ', table_name)
       || string_agg(format('ALTER %I TYPE %s COLLATE "C"', column_name,
                            CASE data_type WHEN 'text' THEN 'text'
                            ELSE format('varchar(%s)', character_maximum_length) END), ', ')
FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = ANY(:tables)
  AND data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C'
GROUP BY table_name""")


def _order_by_code_point(connection: Connection) -> None:
    """Have PostgreSQL compare texts as SQLite and Python do, whatever the database's language."""
    tables = {"tables": list(metadata.tables)}
    for statement in connection.execute(_COLUMNS_IN_ANOTHER_ORDER, tables).scalars().all():
        connection.exec_driver_sql(statement)


_connection: Connection = context.config.attributes["connection"]
context.configure(connection=_connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
if _connection.dialect.name == "postgresql":
    _order_by_code_point(_connection)
