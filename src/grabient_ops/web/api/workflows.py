"""Workflows: how each batch goes its way, step by step, and what can be done about it."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Query
from pydantic import BaseModel

from grabient_ops.pipeline.recovery import (
    Workflow,
    WorkflowStep,
    cancel,
    find_batch,
    list_workflows,
    restart,
    show_workflow,
)
from grabient_ops.store.batches import Batch
from grabient_ops.web.api.route import ApiRoute, looking_up, problems
from grabient_ops.web.api.words import Id, Limit, Text
from grabient_ops.web.parts import Parts, Web

router = APIRouter(prefix="/workflows", tags=["workflows"], route_class=ApiRoute)
State = Literal["waiting to start", "running", "done", "failed", "canceled"]


class WorkflowDetail(NamedTuple):
    """A workflow and its journal."""

    workflow: Workflow
    steps: Sequence[WorkflowStep]


class Restart(BaseModel):
    """From where to run again."""

    step: Text = "1"


@router.get("")
def list_workflows_newest_first(
    web: Parts,
    state: Annotated[State | None, Query(description="Only these.")] = None,
    limit: Limit = 100,
) -> list[Workflow]:
    """List workflows, newest first."""
    with web.read() as reading:
        return list_workflows(web.app.services, reading.journal, state=state, limit=limit)


@router.get("/{id}", responses=problems(404))
def show_steps(web: Parts, id: Id) -> WorkflowDetail:  # noqa: A002 - name in the path
    """Show a workflow and its steps."""
    with looking_up(), web.read() as reading:
        return WorkflowDetail(*show_workflow(web.app.services, reading.journal, id))


@router.post("/{id}/cancel", status_code=202, responses=problems(404))
def cancel_workflow(web: Parts, id: Id) -> Batch:  # noqa: A002 - name in the path
    """Cancel its batch: the provider is asked, and what was finished is still collected."""
    services = web.app.services
    with looking_up():
        batch = find_batch(services, id)
    return services.batch(cancel(services, batch.id).id)


@router.post("/{id}/resume", status_code=202, responses=problems(404))
def resume_workflow(web: Parts, id: Id) -> Batch:  # noqa: A002 - name in the path
    """Go on with a workflow that has failed, at the step that failed."""
    return _restart(web, id, None)


@router.post("/{id}/restart", status_code=202, responses=problems(404))
def restart_workflow(web: Parts, id: Id, wanted: Restart) -> Batch:  # noqa: A002 - name in the path
    """Run a workflow again from a step on; what was paid for is never bought again."""
    return _restart(web, id, wanted.step)


def _restart(web: Web, text: str, step: str | None) -> Batch:
    services = web.app.services
    with looking_up():
        batch = find_batch(services, text)
    with web.read() as reading:
        restart(services, reading.journal, batch.id, step)
    return services.batch(batch.id)
