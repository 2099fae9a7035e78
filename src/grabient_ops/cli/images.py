"""`grabient-ops images`."""

from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.common import MOST, Json, open_app, print_json, print_line, warn
from grabient_ops.cli.legible import legible
from grabient_ops.cli.progress import progress_bar
from grabient_ops.errors import GrabientError

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from grabient_ops.pipeline.images import Generated

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make pictures of palettes.")

_SHOWN_FAILURES = 20


@app.callback()
def _group() -> None:
    """Keep `generate` a word of its own while it is the only one."""


@app.command()
def generate(
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Make at most so many.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the pictures that are missing, and keep them in the home or in a bucket."""
    from grabient_ops.pipeline.images import generate as make

    ops = open_app()
    with progress_bar("pictures", columns=_columns) as show:
        done = make(ops.store, ops.pictures, limit=limit, on_progress=show)
    if as_json:
        print_json(_document(done, ops.pictures.place))
    else:
        _print(done, ops.pictures.place)
    if done.failed:
        raise GrabientError(f"{len(done.failed):,} pictures could not be drawn")


def _document(done: "Generated", place: str) -> dict[str, object]:
    return {
        "made": done.made,
        "already_there": done.already_there,
        "left": done.left,
        "failed": [{"seed": seed, "reason": reason} for seed, reason in done.failed.items()],
        "place": place,
    }


def _print(done: "Generated", place: str) -> None:
    for seed, reason in list(done.failed.items())[:_SHOWN_FAILURES]:
        warn(legible(f"{seed!r}: {reason}"))
    if len(done.failed) > _SHOWN_FAILURES:
        warn(f"... and {len(done.failed) - _SHOWN_FAILURES:,} more; --json lists them")
    left = f", {done.left:,} left" if done.left else ""
    print_line(f"{done.made:,} made, {done.already_there:,} already there{left}: {place}")


def _columns() -> "tuple[ProgressColumn, ...]":
    """Say how many pictures are made, too."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    return (*Progress.get_default_columns()[:3], MofNCompleteColumn(), TimeRemainingColumn())
