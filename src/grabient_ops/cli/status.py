"""`grabient-ops status`."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import Json, console, open_app, print_json, usd

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from grabient_ops.app import App

_LOOK_EVERY_S = 0.25
_LOOK_WITH_BELL_S = 2.0
_REST_S = 0.1


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show every change.")] = False,
    as_json: Json = False,
) -> None:
    """Show how far everything is."""
    from grabient_ops.pipeline.status import read_status

    app = open_app()
    if as_json:
        print_json(read_status(app.services))
    elif watch:
        _watch(app)
    else:
        console().print(render_status(read_status(app.services)))


def _watch(app: "App") -> None:
    from rich.live import Live

    from grabient_ops.pipeline.status import read_status
    from grabient_ops.store.changes import Mark, news

    mark: Mark | None = None
    with app.store.bell() as bell, Live(console=console(), auto_refresh=False) as live:
        while True:
            with app.store.read() as connection:
                topics, mark = news(connection, mark)
            if topics:
                live.update(render_status(read_status(app.services)), refresh=True)
            time.sleep(_REST_S)
            bell.wait((_LOOK_WITH_BELL_S if bell.hears else _LOOK_EVERY_S) - _REST_S)


def render_status(document: dict[str, Any]) -> "Group":
    """Return a status document as tables for people."""
    from rich.console import Group
    from rich.text import Text

    head = Text(
        f"{document['palettes']:,} palettes, prompt {document['prompt_version']}, "
        f"run {document['current_run']} of {document['target_runs']}"
    )
    if document["saved_requests"]:
        head.append(f"; {document['saved_requests']:,} requests saved by settled palettes")
    states = ", ".join(f"{count} {state}" for state, count in document["batches"].items())
    if not document["runs"]:
        return Group(head, Text("nothing has been asked yet; `grabient-ops tag --wait` begins"))
    return Group(
        head,
        _table("run", [(str(run["run_number"]), run) for run in document["runs"]]),
        _table("model", [(f"{m['provider']}/{m['model']}", m) for m in document["models"]]),
        Text(f"batches: {states or 'none'}"),
        Text(
            "refinement: {refined:,} of {ready:,} palettes, {pending:,} pending, "
            "{failed:,} failed".format(**document["refinement"])
        ),
    )


def _table(name: str, rows: list[tuple[str, dict[str, Any]]]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(name)
    counts = ["expected", "succeeded", "failed", "pending"]
    has_tokens = any("input_tokens" in row for _, row in rows)
    tokens = ["input_tokens", "output_tokens"] if has_tokens else []
    for column in [*counts, *tokens, *(["cost"] if has_tokens else [])]:
        table.add_column(column.replace("_", " "), justify="right")
    for label, row in rows:
        cells = [Text(f"{row[key]:,}") for key in [*counts, *tokens]]
        if has_tokens:
            cells.append(Text(usd(row["cost_usd"])))
        table.add_row(Text(label), *cells)
    return table
