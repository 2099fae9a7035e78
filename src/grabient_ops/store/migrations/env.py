"""Runs migrations inside the transaction that the caller has opened."""

from alembic import context

from grabient_ops.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
