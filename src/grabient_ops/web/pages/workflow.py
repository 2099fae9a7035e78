"""One workflow: its batch, its steps, what went wrong, and what can be done about it."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Form, HTTPException, Path, Response

from grabient_ops.errors import InputError
from grabient_ops.pipeline.recovery import (
    Workflow,
    WorkflowStep,
    cancel,
    look_up,
    meant_batch,
    restart,
)
from grabient_ops.store.batches import Batch
from grabient_ops.store.requests import count_requests
from grabient_ops.store.responses import count_strays
from grabient_ops.web.journey import STAGES, journey
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import Topic
from grabient_ops.web.page import Page
from grabient_ops.web.parts import Parts, Web
from grabient_ops.web.replies import Reply
from grabient_ops.web.wording import plain, span

router = APIRouter(prefix="/workflows", include_in_schema=False)
_FOLLOWED: frozenset[Topic] = frozenset({"batches", "responses", "refinements", "journal"})
_AT_WORK = ("running", "waiting to start", "over_budget")

Id = Annotated[str, Path(max_length=200, pattern="^[^\\x00]*$")]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which workflow: its id, its batch's, or the provider's."""

    id: Id


class StepRow(NamedTuple):
    """A step with its span and its outcome in words."""

    step: WorkflowStep
    took: str
    outcome: str


class Doable(NamedTuple):
    """What may be done to a workflow now."""

    cancel: bool
    resume: bool
    restart: bool


def _read_head(reading: Reading, shown: Shown) -> Context:
    batch = meant_batch(reading.connection, shown.id)
    found = look_up(reading.journal, batch)
    workflow = found[0] if found else None
    return {
        "row": journey(batch),
        "stages": STAGES,
        "workflow": workflow,
        "requests": count_requests(reading.connection, batch.id),
        "strays": count_strays(reading.connection, batch.id),
        "can": _doable(batch, workflow),
        "waited": _span_at_provider(batch),
        "parameters": plain(batch.parameters),
        "options": plain(batch.options),
    }


def _read_steps(reading: Reading, shown: Shown) -> Context:
    batch = meant_batch(reading.connection, shown.id)
    found = look_up(reading.journal, batch)
    workflow, steps = found or (None, [])
    return {
        "batch": batch,
        "is_known": workflow is not None,
        "rows": [_row(step) for step in steps],
        "can": _doable(batch, workflow),
    }


def _row(step: WorkflowStep) -> StepRow:
    ends = step.started_at, step.completed_at
    took = ends[1] - ends[0] if ends[0] and ends[1] else None
    return StepRow(step, span(took), plain(step.output))


def _span_at_provider(batch: Batch) -> str:
    if batch.submitted_at is None or batch.ended_at is None:
        return ""
    return span(batch.ended_at - batch.submitted_at)


def _doable(batch: Batch, workflow: Workflow | None) -> Doable:
    is_idle = workflow is not None and workflow.state not in _AT_WORK
    was_sent = batch.provider_batch_id is not None or batch.ended_at is None
    return Doable(
        cancel=batch.ended_at is None and batch.cancel_requested_at is None,
        resume=is_idle and was_sent and workflow is not None and workflow.state == "failed",
        restart=is_idle and was_sent,
    )


def _read_frame(reading: Reading, shown: Shown) -> Context:
    try:
        batch = meant_batch(reading.connection, shown.id)
    except InputError as error:
        raise HTTPException(404, str(error)) from error
    return {"batch": batch}


@router.post("/{id}/cancel")
def cancel_workflow(web: Parts, reply: Reply, id: Id) -> Response:  # noqa: A002 - name in the path
    """Have the provider asked to cancel the batch."""
    batch = cancel(web.app.services, id)
    when = "when it goes on" if batch.state == "stopped" else "now"
    text = f"It will be cancelled {when}; what was finished is still collected."
    return reply(text, to=f"/workflows/{batch.id}")


@router.post("/{id}/resume")
def resume_workflow(web: Parts, reply: Reply, id: Id) -> Response:  # noqa: A002 - name in the path
    """Go on at the step that failed."""
    return _restart(web, reply, id, None)


@router.post("/{id}/restart")
def restart_workflow(
    web: Parts,
    reply: Reply,
    id: Id,  # noqa: A002 - name in the path
    step: Annotated[str, Form(max_length=200)] = "1",
) -> Response:
    """Run it again from a step on; what was paid for is never bought again."""
    return _restart(web, reply, id, step)


def _restart(web: Web, reply: Reply, text: str, step: str | None) -> Response:
    with web.read() as reading:
        batch = restart(web.app.services, reading.journal, text, step)
    return reply("It goes on as soon as a worker runs.", to=f"/workflows/{batch.id}")


PAGE = Page(
    path="/workflows/{id}",
    title="Workflow",
    template="workflow.html",
    params=Shown,
    panels=(
        Panel("workflow-head", _FOLLOWED, "workflow/head.html", _read_head),
        Panel("workflow-steps", _FOLLOWED, "workflow/steps.html", _read_steps),
    ),
    frame=_read_frame,
)
