"""`grabient-ops batches`."""

from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from grabient_ops.cli.common import (
    MOST,
    Json,
    open_app,
    print_json,
    print_line,
    print_table,
    require_known,
)
from grabient_ops.cli.legible import legible
from grabient_ops.errors import InputError

if TYPE_CHECKING:
    from grabient_ops.store.batches import Batch

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look into the batches and cancel them."
)
_CANCELED = "will be cancelled; what was finished is still collected"
_ID_HELP = "Id of the batch, its beginning, or the provider's id."


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None, typer.Option(help="Only this state, e.g. waiting; may be repeated.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="How many; default: 50, with --json all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List batches, newest first."""
    from grabient_ops.providers.base import PROVIDERS
    from grabient_ops.store.batches import StoredState, list_batches

    require_known(state or [], get_args(StoredState), "--state")
    require_known([provider] if provider else [], PROVIDERS, "--provider")
    if limit is None and not as_json:
        limit = 50
    with open_app().store.read() as connection:
        found = list_batches(connection, states=state or None, provider=provider, limit=limit)
    if as_json:
        print_json([batch._asdict() for batch in found])
        return
    rows = [
        (batch.id, batch.state, batch.provider, batch.model, batch.run_number, _progress(batch),
         f"{batch.created_at:%m-%d %H:%M}", legible(batch.error or "", 200))
        for batch in found
    ]  # fmt: skip
    columns = ["batch", "state", "provider", "model", "#run", "#done", "created", "error"]
    print_table(columns, rows)


def _progress(batch: "Batch") -> str:
    if batch.ended_at:
        return f"{batch.request_count:,}"
    return f"{batch.live_completed + batch.live_failed:,}/{batch.request_count:,}"


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help=_ID_HELP)], as_json: Json = False
) -> None:
    """Show everything about a batch."""
    from grabient_ops.pipeline.recovery import find_batch
    from grabient_ops.store.requests import count_requests
    from grabient_ops.store.responses import count_strays

    services = open_app().services
    batch = find_batch(services, id_)
    with services.store.read() as connection:
        document: dict[str, Any] = {
            **batch._asdict(),
            "requests": count_requests(connection, batch.id),
            "strays": count_strays(connection, batch.id),
        }
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        print_line(f"{name:20} {legible(_shown(value))}")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "none"
    return "-" if value is None else str(value)


@app.command()
def cancel(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help=_ID_HELP)],
    as_json: Json = False,
) -> None:
    """Cancel batches: the worker asks the provider, and what was finished is still collected."""
    from grabient_ops.pipeline.recovery import cancel as cancel_batch
    from grabient_ops.pipeline.recovery import find_batch

    services = open_app().services
    # All words must mean something before the first batch is touched.
    wanted = dict.fromkeys(find_batch(services, word).id for word in ids)
    results, ended = [], []
    for batch_id in wanted:
        try:
            cancel_batch(services, batch_id)
            results.append({"batch": batch_id, "result": _CANCELED})
        except InputError as error:
            ended.append(str(error))
    if as_json:
        print_json(results)
    for result in [] if as_json else results:
        print_line(f"{result['batch']} {result['result']}")
    if ended:
        raise InputError("; ".join(ended))
