"""What an operator can do to a workflow: look, cancel, resume, restart from a step."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.engine import Connection

from grabient_ops.errors import InputError
from grabient_ops.pipeline.services import Services
from grabient_ops.store.batches import (
    Batch,
    find_batches,
    list_batches,
    load_batch,
    request_cancel,
    update_batch,
)
from grabient_ops.store.completions import rearm
from grabient_ops.store.requests import reopen_missing

if TYPE_CHECKING:
    from dbos import DBOSClient, StepInfo, WorkflowStatus

WORKFLOW_NAME = "batch"
"""What the journal calls the workflow of a batch."""
STEPS = ("upload", "create", "await_end", "collect")
_STATES = {
    "ENQUEUED": "waiting to start",
    "DELAYED": "waiting to start",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "CANCELLED": "canceled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
}


_OVER_BUDGET = "over_budget"


class WorkflowStep(NamedTuple):
    """One row of a workflow's journal."""

    number: int
    name: str
    output: object
    error: str | None
    started_at: datetime | None
    completed_at: datetime | None


class Workflow(NamedTuple):
    """A workflow as the operator sees it."""

    id: str
    state: str
    batch: Batch | None
    error: str | None
    created_at: datetime | None
    updated_at: datetime | None


def list_workflows(
    services: Services, journal: "DBOSClient", *, state: str | None = None, limit: int | None = 50
) -> list[Workflow]:
    """Return workflows, newest first; those that no budget lets start come before them.

    Args:
        services: the parts.
        journal: the client.
        state: only these; one of running, done, failed, canceled, over_budget ...
        limit: at most so many.
    """
    wanted = [name for name, meaning in _STATES.items() if state in {None, meaning}]
    if not wanted and state != _OVER_BUDGET:
        known = ", ".join(dict.fromkeys([*_STATES.values(), _OVER_BUDGET]))
        raise InputError(f"no state is called {state!r}; there are {known}")
    waiting = _list_waiting(services, limit) if state in {None, _OVER_BUDGET} else []
    if not wanted or len(waiting) == limit:
        return waiting
    found = journal.list_workflows(
        name=WORKFLOW_NAME, status=wanted, limit=limit and limit - len(waiting), sort_desc=True,
        load_input=False,
    )  # fmt: skip
    return waiting + [_workflow(status, _batch_of(services, status)) for status in found]


def _batch_of(services: Services, status: "WorkflowStatus") -> Batch | None:
    with services.store.read() as connection:
        found = find_batches(connection, status.workflow_id)
    return found[0] if found else None


def _list_waiting(services: Services, limit: int | None) -> list[Workflow]:
    with services.store.read() as connection:
        batches = list_batches(connection, states=[_OVER_BUDGET], limit=limit)
    return [_waiting(batch) for batch in batches]


def _waiting(batch: Batch) -> Workflow:
    """A workflow that is not in the journal yet: it starts when there is room for its cost."""
    return Workflow(batch.workflow_id, _OVER_BUDGET, batch, batch.error, batch.created_at, None)


def show_workflow(
    services: Services, journal: "DBOSClient", text: str
) -> tuple[Workflow, list[WorkflowStep]]:
    """Return a workflow and its journal; `text` is its id or its batch's."""
    batch = find_batch(services, text)
    found = look_up(journal, batch)
    if found is None:
        raise InputError(f"workflow {batch.workflow_id} has not been started, or is long finished")
    return found


def look_up(journal: "DBOSClient", batch: Batch) -> tuple[Workflow, list[WorkflowStep]] | None:
    """Return the workflow of a batch and its journal; None when the journal does not know it."""
    found = journal.list_workflows(workflow_ids=[batch.workflow_id], load_input=False)
    if found:
        steps = [_step(row) for row in journal.list_workflow_steps(batch.workflow_id)]
        return _workflow(found[0], batch), steps
    return (_waiting(batch), []) if batch.state == _OVER_BUDGET else None


def find_batch(services: Services, text: str) -> Batch:
    """Return the one batch that the text means.

    Raises:
        InputError: none or several are meant.
    """
    with services.store.read() as connection:
        return meant_batch(connection, text)


def meant_batch(connection: Connection, text: str) -> Batch:
    """Return the one batch that the text means, as a snapshot shows it.

    Raises:
        InputError: none or several are meant.
    """
    found = find_batches(connection, text)
    exact = [batch for batch in found if text in (batch.id, batch.workflow_id)]
    if len(found) != 1 and len(exact) != 1:
        raise InputError(f"{'several batches begin' if found else 'no batch begins'} with {text!r}")
    return (exact or found)[0]


def cancel(services: Services, text: str) -> Batch:
    """Ask for a batch to be cancelled: the worker asks the provider and collects what is done.

    A stopped batch is cancelled when it goes on: with `resume`, or with the next worker.

    Raises:
        InputError: it has ended.
    """
    batch = find_batch(services, text)
    with services.store.write() as connection:
        if not request_cancel(connection, batch.id, services.now()) and batch.ended_at:
            raise InputError(f"batch {batch.id} has ended: {batch.state}")
    return batch


def restart(services: Services, journal: "DBOSClient", text: str, step: str | None) -> Batch:
    """Run a workflow again from a step on, under the same id.

    Args:
        services: the parts.
        journal: the client; the worker carries it out when it runs.
        text: id of the workflow or its batch.
        step: a name or a number from 1; None goes on where the workflow failed.

    Raises:
        InputError: it is still running, has nothing left to do, or the step is unknown.
    """
    batch = find_batch(services, text)
    if batch.state == _OVER_BUDGET:
        raise InputError(f"workflow {batch.workflow_id} waits for room in a budget: {batch.error}")
    found = journal.list_workflows(workflow_ids=[batch.workflow_id], load_input=False)
    if not found:
        raise InputError(f"workflow {batch.workflow_id} is no longer in the journal")
    if _STATES[found[0].status] in {"running", "waiting to start"}:
        raise InputError(f"workflow {batch.workflow_id} is {_STATES[found[0].status]}")
    if batch.provider_batch_id is None and batch.ended_at:
        raise InputError(f"nothing of batch {batch.id} was sent; its requests are planned anew")
    start = _step_number(journal, batch, step)
    reopen(services, batch.id)
    journal.rewind_workflow(batch.workflow_id, start_step=start)
    # Not before: a running worker would deliver the old ending once more.
    with services.store.write() as connection:
        rearm(connection, [batch.id])
    return batch


def reopen(services: Services, batch_id: str) -> None:
    """Put a batch back to work; requests that got no answer may get one now."""
    with services.store.write() as connection:
        batch = load_batch(connection, batch_id)
        reopen_missing(connection, batch_id, batch.kind)
        # Collecting again passes over what is stored; the cursor would hide lines that changed.
        update_batch(
            connection, batch_id, services.now(),
            state="waiting" if batch.provider_batch_id else "submitting",
            collect_cursor=None, ended_at=None, error=None, error_class=None,
        )  # fmt: skip


def _step_number(journal: "DBOSClient", batch: Batch, step: str | None) -> int:
    rows = [_step(row) for row in journal.list_workflow_steps(batch.workflow_id)]
    if step is None:
        failed = [row.number for row in rows if row.error]
        return failed[0] if failed else max((row.number for row in rows), default=0) + 1
    by_name = {row.name: row.number for row in reversed(rows)}
    if step in by_name:
        return by_name[step]
    if step.isdigit() and any(row.number == int(step) for row in rows):
        return int(step)
    known = ", ".join(f"{row.number} {row.name}" for row in rows)
    raise InputError(f"batch {batch.id} has no step {step!r}; it has {known or 'none yet'}")


def _workflow(status: "WorkflowStatus", batch: Batch | None) -> Workflow:
    return Workflow(
        id=status.workflow_id,
        state=_STATES[status.status],
        batch=batch,
        error=None if status.error is None else str(status.error),
        created_at=_moment(status.created_at),
        updated_at=_moment(status.updated_at),
    )


def _step(row: "StepInfo") -> WorkflowStep:
    error = row["error"]
    return WorkflowStep(
        number=row["function_id"],
        name=row["function_name"],
        output=row["output"],
        error=None if error is None else str(error),
        started_at=_moment(row.get("started_at_epoch_ms")),
        completed_at=_moment(row.get("completed_at_epoch_ms")),
    )


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
