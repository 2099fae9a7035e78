"""`grabient-ops workflows`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import MOST, Json, open_app, print_json, print_line, print_table

if TYPE_CHECKING:
    from grabient_ops.pipeline.recovery import Workflow, WorkflowStep

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look into the workflows and steer them."
)
Id = Annotated[str, typer.Argument(help="Id of the workflow or of its batch, or its beginning.")]


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(help="running, 'waiting to start', over_budget, done, failed or canceled."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List workflows, newest first."""
    from grabient_ops.pipeline.recovery import list_workflows

    app = open_app()
    found = list_workflows(app.services, app.journal(), state=state, limit=limit)
    if as_json:
        print_json([_document(workflow) for workflow in found])
        return
    rows = [
        (w.id, w.state, *((w.batch.provider, w.batch.model, w.batch.run_number, w.batch.state)
         if w.batch else ("", "", "", "")), w.error)
        for w in found
    ]  # fmt: skip
    print_table(["workflow", "state", "provider", "model", "#run", "batch", "error"], rows)


@app.command()
def show(id_: Id, as_json: Json = False) -> None:
    """Show a workflow and its steps."""
    from grabient_ops.pipeline.recovery import show_workflow

    app = open_app()
    workflow, steps = show_workflow(app.services, app.journal(), id_)
    if as_json:
        print_json({**_document(workflow), "steps": [_step(step) for step in steps]})
        return
    print_line(
        f"{workflow.id}: {workflow.state}" + (f" ({workflow.error})" if workflow.error else "")
    )
    rows = [(s.number, s.name, s.started_at, s.completed_at, s.error or s.output) for s in steps]
    print_table(["#step", "name", "started", "ended", "outcome"], rows)


@app.command()
def cancel(id_: Id, as_json: Json = False) -> None:
    """Cancel a batch: the provider is asked, and what was finished is still collected."""
    from grabient_ops.pipeline.recovery import cancel as cancel_workflow

    batch = cancel_workflow(open_app().services, id_)
    when = "when it goes on (`workflows resume`)" if batch.state == "stopped" else "now"
    text = f"will be cancelled {when}; what was finished is still collected"
    _done(batch.workflow_id, text, as_json)


@app.command()
def resume(id_: Id, as_json: Json = False) -> None:
    """Go on with a workflow that has failed, at the step that failed."""
    _restart(id_, None, as_json)


@app.command()
def restart(
    id_: Id,
    step: Annotated[
        str, typer.Option("--from", help="Name or number of the step to begin with.")
    ] = "1",
    as_json: Json = False,
) -> None:
    """Run a workflow again from a step on; what was paid for is never bought again."""
    _restart(id_, step, as_json)


def _restart(text: str, step: str | None, as_json: bool) -> None:
    from grabient_ops.pipeline.recovery import restart as restart_workflow

    app = open_app()
    batch = restart_workflow(app.services, app.journal(), text, step)
    _done(batch.workflow_id, "goes on as soon as a worker runs", as_json)


def _done(workflow_id: str, text: str, as_json: bool) -> None:
    if as_json:
        print_json({"workflow": workflow_id, "result": text})
    else:
        print_line(f"{workflow_id} {text}")


def _document(workflow: "Workflow") -> dict[str, Any]:
    batch = workflow.batch._asdict() if workflow.batch else None
    return {**workflow._asdict(), "batch": batch}


def _step(step: "WorkflowStep") -> dict[str, Any]:
    return step._asdict()
