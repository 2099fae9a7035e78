"""on_complete: what happens once when a workflow has succeeded, failed or was cancelled."""

import shutil
from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy.engine import Connection

from grabient_ops.pipeline.batches import NEVER_SENT
from grabient_ops.pipeline.refinement import chain_refinement
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.stages import billed, stage_of
from grabient_ops.pipeline.waiting import End
from grabient_ops.store.batches import QUEUE_FULL, Batch, load_batch, update_batch
from grabient_ops.store.changes import announce
from grabient_ops.store.completions import Ending, claim
from grabient_ops.store.locks import lock
from grabient_ops.store.requests import close_open_requests, close_requests, list_requests
from grabient_ops.store.responses import store_responses
from grabient_ops.store.spending import settle_cost
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.usage import Usage

log = structlog.get_logger(__name__)

_UNANSWERED: Mapping[str, ErrorClass] = {
    "completed": ErrorClass.MISSING,
    "failed": ErrorClass.MISSING,
    "expired": ErrorClass.EXPIRED,
    "canceled": ErrorClass.CANCELED,
    "rejected": ErrorClass.INVALID_REQUEST,
}


def complete(services: Services, workflow_id: str, batch_id: str, outcome: End | Exception) -> bool:
    """Close a batch whose workflow has ended, in one transaction; False when that was done before.

    Args:
        services: the parts.
        workflow_id: whose completion is delivered.
        batch_id: the batch of the workflow.
        outcome: how the batch ended, or the error that ended the workflow.
    """
    now = services.now()
    with services.store.write() as connection:
        # Of two last batches that end at once, one must see that the other has ended.
        lock(connection, "endings")
        batch = load_batch(connection, batch_id)
        if isinstance(outcome, Exception) and batch.cancel_requested_at and not _was_sent(batch):
            # Planned anew, it would be sent against the operator's word.
            outcome = NEVER_SENT
        if not claim(connection, workflow_id, _ending(outcome), now):
            return False
        if isinstance(outcome, Exception):
            _close_broken(connection, batch, outcome, now)
        else:
            _close_ended(connection, batch, outcome, now)
        chain_refinement(connection, services, services.refine_after, batch.prompt_version)
    if not isinstance(outcome, Exception):
        shutil.rmtree(services.spool_of(batch_id), ignore_errors=True)
    return True


def _ending(outcome: End | Exception) -> Ending:
    if isinstance(outcome, Exception) or outcome["how"] in {"failed", "rejected"}:
        return "failed"
    return "canceled" if outcome["how"] == "canceled" else "success"


def _was_sent(batch: Batch) -> bool:
    """Whether the provider may have heard of it."""
    return bool(batch.submit_started_at or batch.provider_batch_id)


def _close_ended(connection: Connection, batch: Batch, end: End, at: datetime) -> None:
    how = end["how"]
    if end["queue_full"]:
        # Nothing was looked at, so no attempt is used up; the planner sends less at a time.
        close_open_requests(connection, batch.id, "released")
        _end(connection, batch, at, "failed", error_class=QUEUE_FULL, error=end["message"])
        return
    message = end["message"] or f"no answer: the batch was {how}"
    _fail_unanswered(connection, batch, _class_of_unanswered(batch, how), message, at)
    state = "failed" if how == "rejected" else how
    error_class = str(ErrorClass.INVALID_REQUEST) if how == "rejected" else None
    _end(
        connection, batch, at, state, error_class=error_class, error=end["message"],
        may_be_billed=_UNANSWERED[how] is ErrorClass.MISSING,
    )  # fmt: skip


def _class_of_unanswered(batch: Batch, how: str) -> ErrorClass:
    """What an operator has cancelled is not asked again, however it ended."""
    unanswered = _UNANSWERED[how]
    is_unwanted = unanswered.retryable and batch.cancel_requested_at is not None
    return ErrorClass.CANCELED if is_unwanted else unanswered


def _close_broken(connection: Connection, batch: Batch, error: Exception, at: datetime) -> None:
    """Before the submission nothing is lost; after it, the requests wait for an operator."""
    kind = getattr(error, "kind", type(error).__name__)
    if _was_sent(batch):
        log.error("workflow stopped", batch=batch.id, error=str(error))
        update_batch(connection, batch.id, at, state="stopped", error_class=kind, error=str(error))
        return
    log.warning("submission failed", batch=batch.id, error=str(error))
    close_open_requests(connection, batch.id, "released")
    _end(connection, batch, at, "failed", error_class=kind, error=str(error))


def _fail_unanswered(
    connection: Connection,
    batch: Batch,
    error_class: ErrorClass,
    message: str,
    at: datetime,
) -> None:
    """Give every request that no line answered its own error, so that nothing is unaccounted."""
    stage, same = stage_of(batch), batch.same()
    open_requests = [item for item in list_requests(connection, batch.id) if item.state == "open"]
    rows = [
        {
            "seed": request.seed,
            **same,
            "attempt": request.attempt,
            "batch_id": batch.id,
            "excused": False,
            "created_at": at,
            **billed(Usage(), 0),
            **stage.failure(str(error_class), message),
        }
        for request in open_requests
    ]
    positions = [item.position for item in open_requests]
    stage.add_shown(connection, batch, rows, positions)
    store_responses(connection, stage.table, same, rows)
    close_requests(connection, batch.id, positions, "missing")
    if rows:
        announce(connection, stage.topic, [batch.id], at)


def _end(
    connection: Connection,
    batch: Batch,
    at: datetime,
    state: str,
    *,
    may_be_billed: bool = False,
    **error: str | None,
) -> None:
    update_batch(connection, batch.id, at, state=state, ended_at=at, **error)
    settle_cost(connection, batch, at, may_be_billed=may_be_billed)
