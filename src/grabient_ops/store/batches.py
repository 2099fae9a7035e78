"""Batches and their requests: reserved before anything is sent, closed when everything is known."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.completions import expect
from grabient_ops.store.engine import READ_ONLY
from grabient_ops.store.tables import batches, requests
from grabient_ops.store.targets import ModelTarget, Unanswered

StoredState = Literal[
    "reserved", "over_budget", "submitting", "waiting", "canceling", "collecting",
    "completed", "failed", "expired", "canceled", "stopped",
]  # fmt: skip
"""`over_budget`: not sent, because that might cross a limit; it goes on when there is room for it.
`stopped`: the workflow died after the submission; its requests stay open until it is resumed."""
WORKING_STATES: tuple[StoredState, ...] = (
    "reserved", "over_budget", "submitting", "waiting", "canceling", "collecting",
)  # fmt: skip
OPEN_STATES: tuple[StoredState, ...] = (*WORKING_STATES, "stopped")
QUEUE_FULL = "queue_full"
"""`error_class` of a batch that the provider refused only because our queue there is full."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Batch(NamedTuple):
    """One submission, as stored."""

    id: str
    kind: str
    provider: str
    model: str
    run_number: int
    prompt_version: str
    chunk: int
    attempt: int
    parameters: dict[str, Any]
    options: dict[str, Any] | None
    state: StoredState
    request_count: int
    provider_batch_id: str | None
    input_file_id: str | None
    payload_sha256: str | None
    high_water: str | None
    foreign_ids: list[str]
    is_proven: bool
    live_completed: int
    live_failed: int
    collect_cursor: list[Any] | None
    request_bound: int | None
    reserved_cost: int
    settled_cost: int | None
    error_class: str | None
    error: str | None
    workflow_id: str
    created_at: datetime
    submit_started_at: datetime | None
    submitted_at: datetime | None
    cancel_requested_at: datetime | None
    ended_at: datetime | None

    def same(self) -> dict[str, Any]:
        """Return the columns that all requests and answers of the batch share."""
        return {
            "provider": self.provider,
            "model": self.model,
            "run_number": self.run_number,
            "prompt_version": self.prompt_version,
        }


def reserve_batch(
    connection: Connection,
    target: ModelTarget,
    run_number: int,
    asked: Sequence[Unanswered],
    parameters: dict[str, Any],
    at: datetime,
    *,
    inputs: Sequence[str] | None = None,
) -> str:
    """Write a batch, its requests and its expected completion; return the batch id.

    Two reservations of one (palette, model, run, prompt version) cannot both commit.

    Args:
        connection: an open transaction.
        target: what is asked of which model.
        run_number: from 1.
        asked: the palettes; all have the same options.
        parameters: what is sent beside the texts.
        at: now.
        inputs: what the model is shown for each palette, where the seed does not say it.
    """
    batch_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    workflow_id = f"batch-{batch_id}"
    same = {
        "provider": target.provider,
        "model": target.model,
        "run_number": run_number,
        "prompt_version": target.prompt_version,
    }
    connection.execute(
        sa.insert(batches).values(
            id=batch_id,
            kind=target.kind,
            options=asked[0].options,
            chunk=_count_of_run(connection, same) + 1,
            attempt=max(palette.attempt for palette in asked),
            parameters=parameters,
            state="reserved",
            request_count=len(asked),
            foreign_ids=[],
            is_proven=False,
            live_completed=0,
            live_failed=0,
            workflow_id=workflow_id,
            created_at=at,
            **same,
        )
    )
    _reserve_requests(connection, {"batch_id": batch_id, **same}, asked, inputs)
    expect(connection, workflow_id, batch_id)
    announce(connection, "batches", [batch_id], at)
    return batch_id


def _reserve_requests(
    connection: Connection,
    same: dict[str, Any],
    asked: Sequence[Unanswered],
    inputs: Sequence[str] | None,
) -> None:
    rows = [
        {
            **same,
            "position": position,
            "state": "open",
            "seed": palette.seed,
            "attempt": palette.attempt,
            "input": None if inputs is None else inputs[position],
        }
        for position, palette in enumerate(asked)
    ]
    connection.execute(sa.insert(requests), rows)


def _count_of_run(connection: Connection, same: dict[str, Any]) -> int:
    query = sa.select(sa.func.count()).select_from(batches).filter_by(**same)
    return connection.execute(query).scalar_one()


def load_batch(connection: Connection, batch_id: str) -> Batch:
    """Return the batch with exactly this id.

    In a write transaction its row stays as it is read until the end: nobody else changes it.
    """
    query = sa.select(batches).where(batches.c.id == batch_id)
    if not connection.get_execution_options().get(READ_ONLY, False):
        query = query.with_for_update()
    return Batch(*connection.execute(query).one())


def known_provider_ids(connection: Connection, provider: str, ids: Sequence[str]) -> set[str]:
    """Return those of a provider's batch ids that belong to batches of ours already."""
    query = sa.select(batches.c.provider_batch_id).where(
        batches.c.provider == provider, batches.c.provider_batch_id.in_(ids)
    )
    return set(connection.execute(query).scalars())


def count_creating(connection: Connection, provider: str, but: str) -> int:
    """Return how many batches of a provider, one left out, may have been created or not."""
    query = sa.select(sa.func.count()).select_from(batches)
    return connection.execute(
        query.where(
            batches.c.provider == provider,
            batches.c.id != but,
            batches.c.state.in_(WORKING_STATES),
            batches.c.submit_started_at.is_not(None),
            batches.c.provider_batch_id.is_(None),
        )
    ).scalar_one()


def list_unbegun(connection: Connection) -> list[str]:
    """Return the ids of batches that nobody has begun and somebody may, oldest first.

    Those that may be sent, and those that were cancelled before that: they only have to end.
    """
    is_given_up = sa.and_(
        batches.c.state.in_(("reserved", "over_budget")), batches.c.cancel_requested_at.is_not(None)
    )
    query = sa.select(batches.c.id).where(
        sa.or_(batches.c.state == "submitting", is_given_up),
        batches.c.input_file_id.is_(None),
        batches.c.submit_started_at.is_(None),
        batches.c.payload_sha256.is_(None),
    )
    return list(connection.execute(query.order_by(batches.c.created_at)).scalars())


def find_batches(connection: Connection, text: str) -> list[Batch]:
    """Return the batches that an operator may mean.

    `text` is our id or its beginning, the workflow's id, or the provider's.
    """
    query = sa.select(batches).where(
        sa.or_(
            batches.c.id.startswith(text, autoescape=True),
            batches.c.workflow_id == text,
            batches.c.provider_batch_id == text,
        )
    )
    return [Batch(*row) for row in connection.execute(query.limit(20))]


def list_batches(
    connection: Connection,
    *,
    states: Sequence[str] | None = None,
    provider: str | None = None,
    limit: int | None = None,
) -> list[Batch]:
    """Return batches, newest first."""
    query = sa.select(batches).order_by(batches.c.created_at.desc(), batches.c.id).limit(limit)
    if states is not None:
        query = query.where(batches.c.state.in_(states))
    if provider is not None:
        query = query.where(batches.c.provider == provider)
    return [Batch(*row) for row in connection.execute(query)]


def has_open_batch(connection: Connection, prompt_version: str) -> bool:
    """Whether a batch of a prompt version has not reached an end."""
    query = sa.select(batches.c.id).where(
        batches.c.prompt_version == prompt_version, batches.c.state.in_(OPEN_STATES)
    )
    return connection.execute(query.limit(1)).first() is not None


def list_open_batch_ids(connection: Connection) -> list[str]:
    """Return the ids of batches that have not reached an end, oldest first."""
    query = sa.select(batches.c.id).where(batches.c.state.in_(OPEN_STATES))
    return list(connection.execute(query.order_by(batches.c.created_at)).scalars())


def list_providers_at_work(connection: Connection) -> set[str]:
    """Return the providers of all batches that are under way."""
    query = sa.select(batches.c.provider).where(batches.c.state.in_(WORKING_STATES))
    return set(connection.execute(query.distinct()).scalars())


def open_requests_of_model(connection: Connection, provider: str, model: str) -> int:
    """Return how many requests wait at a model, over all runs and prompt versions."""
    query = sa.select(sa.func.sum(batches.c.request_count)).where(
        batches.c.provider == provider,
        batches.c.model == model,
        batches.c.state.in_(OPEN_STATES),
    )
    waiting: int | None = connection.execute(query).scalar()
    return waiting or 0


class Ending(NamedTuple):
    """How a batch of some model ended."""

    error_class: str | None
    error: str | None
    request_count: int
    created_at: datetime
    ended_at: datetime


def list_endings(
    connection: Connection, provider: str, model: str, since: datetime, until: datetime
) -> list[Ending]:
    """Return how the newest batches of a model have ended after a moment, newest first."""
    query = (
        sa.select(*(batches.c[name] for name in Ending._fields))
        .where(batches.c.provider == provider, batches.c.model == model)
        .where(batches.c.ended_at > since, batches.c.ended_at <= until)
        .order_by(batches.c.ended_at.desc())
        .limit(16)
    )
    return [Ending(*row) for row in connection.execute(query)]


def list_stopped(connection: Connection) -> dict[tuple[str, str, str], str]:
    """Return an error of the stopped batches, by prompt version, provider and model."""
    key = (batches.c.prompt_version, batches.c.provider, batches.c.model)
    query = sa.select(*key, sa.func.max(batches.c.error)).where(batches.c.state == "stopped")
    return {row[:3]: row[3] for row in connection.execute(query.group_by(*key))}


def update_batch(connection: Connection, batch_id: str, at: datetime, **values: object) -> None:
    """Change columns of a batch and announce it."""
    connection.execute(sa.update(batches).where(batches.c.id == batch_id).values(**values))
    announce(connection, "batches", [batch_id], at)


def request_cancel(connection: Connection, batch_id: str, at: datetime) -> bool:
    """Ask for a batch to be cancelled; False when it has ended or was asked before."""
    changed = connection.execute(
        sa.update(batches)
        .where(batches.c.id == batch_id, batches.c.cancel_requested_at.is_(None))
        .where(batches.c.state.in_(OPEN_STATES))
        .values(cancel_requested_at=at)
    )
    if changed.rowcount:
        announce(connection, "batches", [batch_id], at)
    return bool(changed.rowcount)
