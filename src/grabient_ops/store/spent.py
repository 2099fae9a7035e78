"""What was spent when: the settled cost of batches in the order in which they ended."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import batches


class Spent(NamedTuple):
    """One batch that has ended.

    Attributes:
        kind: `tagging` or `refinement`.
        cost: in pico-dollars.
    """

    ended_at: datetime
    kind: str
    cost: int


def list_spent(
    connection: Connection, *, prompt: str = "", model: str = "", run: int | None = None
) -> list[Spent]:
    """Return what batches have cost, the first that ended first.

    Args:
        connection: a snapshot.
        prompt: only under this prompt version.
        model: only by this one, as `provider/model`.
        run: only in this run.
    """
    columns = batches.c
    query = (
        sa.select(columns.ended_at, columns.kind, columns.settled_cost)
        .where(columns.ended_at.is_not(None), columns.settled_cost.is_not(None))
        .order_by(columns.ended_at, columns.id)
    )
    if prompt:
        query = query.where(columns.prompt_version == prompt)
    if model:
        query = query.where(columns.provider + "/" + columns.model == model)
    if run is not None:
        query = query.where(columns.run_number == run)
    return [Spent(*row) for row in connection.execute(query)]
