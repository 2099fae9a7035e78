"""on_complete: which endings of workflows have been delivered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import batches, completions

Ending = Literal["success", "failed", "canceled"]


class Due(NamedTuple):
    """A workflow whose ending has not been delivered."""

    workflow_id: str
    batch_id: str


def expect(connection: Connection, workflow_id: str, batch_id: str) -> None:
    """Ask for on_complete; call it in the transaction that plans the workflow."""
    connection.execute(sa.insert(completions).values(workflow_id=workflow_id, batch_id=batch_id))


def list_due(connection: Connection, *, ending: bool = False) -> list[Due]:
    """Return the workflows that have not been delivered.

    Args:
        connection: a transaction.
        ending: leave out the batches that wait for their provider, usually nearly all.
    """
    query = sa.select(completions.c.workflow_id, completions.c.batch_id)
    query = query.where(completions.c.delivered_at.is_(None))
    if ending:
        query = query.join(batches, batches.c.id == completions.c.batch_id)
        query = query.where(batches.c.state.not_in(["waiting", "canceling"]))
    return [Due(*row) for row in connection.execute(query)]


def claim(connection: Connection, workflow_id: str, kind: Ending, at: datetime) -> bool:
    """Mark an ending as delivered; False when somebody has done so before.

    Call it first in the transaction that carries out the handler: both commit, or neither.
    """
    changed = connection.execute(
        sa.update(completions)
        .where(completions.c.workflow_id == workflow_id, completions.c.delivered_at.is_(None))
        .values(delivered_at=at, kind=kind)
    )
    return bool(changed.rowcount)


def rearm(connection: Connection, batch_ids: Sequence[str]) -> None:
    """Expect another ending of each batch: its workflow was resumed or restarted."""
    connection.execute(
        sa.update(completions)
        .where(completions.c.batch_id.in_(batch_ids), completions.c.delivered_at.is_not(None))
        .values(delivered_at=None, kind=None)
    )


def count_endings(connection: Connection) -> dict[Ending | None, int]:
    """Return how many workflows have ended how; None counts those that are under way."""
    query = sa.select(completions.c.kind, sa.func.count()).group_by(completions.c.kind)
    return dict(connection.execute(query).all())
