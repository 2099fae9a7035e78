"""News from a provider: a batch that it knows has moved on, so it is worth a look now."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.tables import batches

_POLLED = ("submitting", "waiting", "canceling")


def nudge(
    connection: Connection, provider: str, provider_ids: Sequence[str], at: datetime
) -> str | None:
    """Have the worker look at a batch now, whichever process it is in.

    Args:
        connection: an open transaction.
        provider: whose batch it is.
        provider_ids: what the provider may call it.
        at: now.

    Returns:
        Our id of the batch; None when none of that name is waited for.
    """
    query = sa.select(batches.c.id).where(
        batches.c.provider == provider,
        batches.c.provider_batch_id.in_(provider_ids),
        batches.c.state.in_(_POLLED),
    )
    batch_id: str | None = connection.execute(query).scalar()
    if batch_id is not None:
        announce(connection, "nudges", [batch_id], at)
    return batch_id
