"""`grabient-ops reparse`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_line
from grabient_ops.cli.progress import Show, progress_bar


def reparse(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    allow_loss: Annotated[
        bool,
        typer.Option("--allow-loss", help="Let answers become failures, to be asked for again."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every stored answer again with this release's parser; asks and pays for nothing."""
    from grabient_ops.pipeline.reparse import Reparsed, Reparser
    from grabient_ops.pipeline.stages import STAGES
    from grabient_ops.store.responses import count_reparsable

    services = open_app().services
    with services.store.read() as connection:
        total = sum(count_reparsable(connection, stage.table) for stage in STAGES.values())
    result = Reparsed()
    with progress_bar("reading answers", total) as show:
        for stage in STAGES.values():
            reparser = Reparser(services, stage, dry_run=dry_run, allow_loss=allow_loss)
            result += reparser.run(_after(result.read, show))
    if as_json:
        print_json(asdict(result))
        return
    print_line(
        f"{result.read:,} answers read: {result.rescued:,} rescued, {result.changed:,} changed, "
        f"{result.unchanged:,} unchanged"
    )
    if result.lost:
        fate = "are failures now" if allow_loss else "stay as they were"
        print_line(f"{result.lost:,} cannot be read by this parser and {fate}")
    if dry_run:
        print_line("nothing was written")


def _after(before: int, show: Show) -> Callable[[int], None]:
    """Count on from what former stages have read."""
    return lambda done: show(before + done)
