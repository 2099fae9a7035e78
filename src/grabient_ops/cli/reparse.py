"""`grabient-ops reparse`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from grabient_ops.cli.common import Json, console, open_app, print_json, print_line


def reparse(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    allow_loss: Annotated[
        bool,
        typer.Option("--allow-loss", help="Let answers become failures, to be asked for again."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every stored answer again with this release's parser; asks and pays for nothing."""
    from grabient_ops.pipeline.reparse import Reparser
    from grabient_ops.store.responses import count_reparsable

    services = open_app().services
    with services.store.read() as connection:
        total = count_reparsable(connection)
    reparser = Reparser(services, dry_run=dry_run, allow_loss=allow_loss)
    with _progress_bar(total) as show:
        result = reparser.run(show)
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


@contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, nothing elsewhere; the block calls the yielded function."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True)) as progress:
        task = progress.add_task("reading answers", total=total)
        yield lambda done: progress.update(task, completed=done)
