"""The requests of batches: listed, counted, and closed when everything about them is known."""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import answers_of, requests
from grabient_ops.store.targets import ModelTarget


class Request(NamedTuple):
    """One request of a batch; its `custom_id` is `<batch id>-<position>`."""

    position: int
    seed: str
    attempt: int
    state: str


def count_open_requests(connection: Connection, target: ModelTarget, run_number: int) -> int:
    """Return how many requests of a model's run are with the provider, or on their way."""
    query = sa.select(sa.func.count()).select_from(requests)
    return connection.execute(
        query.where(
            requests.c.prompt_version == target.prompt_version,
            requests.c.provider == target.provider,
            requests.c.model == target.model,
            requests.c.run_number == run_number,
            requests.c.state == "open",
        )
    ).scalar_one()


def list_requests(
    connection: Connection, batch_id: str, start: int = 0, limit: int | None = None
) -> list[Request]:
    """Return the requests of a batch from a position on, in order."""
    columns = (requests.c.position, requests.c.seed, requests.c.attempt, requests.c.state)
    query = sa.select(*columns).where(requests.c.batch_id == batch_id, requests.c.position >= start)
    return [
        Request(*row)
        for row in connection.execute(query.order_by(requests.c.position).limit(limit))
    ]


def list_inputs(connection: Connection, batch_id: str, positions: Sequence[int]) -> dict[int, str]:
    """Return what the models are shown in some requests of a batch, by position."""
    query = sa.select(requests.c.position, requests.c.input)
    query = query.where(requests.c.batch_id == batch_id, _is_at(connection, positions))
    return dict(connection.execute(query).all())


def longest_input(connection: Connection, batch_id: str) -> int:
    """Return the bytes of the longest text that a model is shown in a batch."""
    text = requests.c.input
    is_postgres = connection.dialect.name == "postgresql"
    size = sa.func.octet_length(text) if is_postgres else sa.func.length(sa.cast(text, sa.BLOB))
    query = sa.select(sa.func.max(size)).where(requests.c.batch_id == batch_id)
    longest: int | None = connection.execute(query).scalar()
    return longest or 0


def count_requests(connection: Connection, batch_id: str) -> dict[str, int]:
    """Return how many requests of a batch are in each state."""
    query = sa.select(requests.c.state, sa.func.count()).where(requests.c.batch_id == batch_id)
    return dict(connection.execute(query.group_by(requests.c.state)).all())


def close_requests(
    connection: Connection, batch_id: str, positions: Sequence[int], state: str
) -> None:
    """Close some requests with their end state: `succeeded`, `failed`."""
    if positions:
        is_meant = _is_at(connection, positions)
        update = sa.update(requests).where(requests.c.batch_id == batch_id, is_meant)
        connection.execute(update.values(state=state))


def _is_at(connection: Connection, positions: Sequence[int]) -> sa.ColumnElement[bool]:
    """One parameter for all positions: with one for each, they take as long as the update."""
    if connection.dialect.name == "postgresql":
        return requests.c.position == sa.any_(sa.literal(positions, ARRAY(sa.Integer)))
    each = sa.func.json_each(sa.literal(positions, sa.JSON)).table_valued("value")
    return requests.c.position.in_(sa.select(each.c.value))


def close_open_requests(connection: Connection, batch_id: str, state: str) -> None:
    """Close what is still open: `missing` (asked, never answered) or `released` (never asked)."""
    connection.execute(
        sa.update(requests)
        .where(requests.c.batch_id == batch_id, requests.c.state == "open")
        .values(state=state)
    )


def reopen_missing(connection: Connection, batch_id: str, kind: str) -> None:
    """Open requests again that were given up, as a further attempt.

    Those stay closed that have been answered, or are being asked again, by another batch.
    """

    def same_request(table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        names = ("prompt_version", "provider", "model", "run_number", "seed")
        return [table.c[name] == requests.c[name] for name in names]

    asked, answers = requests.alias(), answers_of(kind)
    is_asked = sa.exists().where(*same_request(asked), asked.c.state == "open")
    is_answered = sa.exists().where(*same_request(answers), answers.c.error_class.is_(None))
    attempts = sa.select(sa.func.max(answers.c.attempt)).where(*same_request(answers))
    connection.execute(
        sa.update(requests)
        .where(requests.c.batch_id == batch_id, requests.c.state == "missing")
        .where(~is_asked, ~is_answered)
        .values(state="open", attempt=attempts.scalar_subquery() + 1)
    )
