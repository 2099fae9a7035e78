"""`grabient-ops analytics`: the warehouse itself is renewed, read by SQL, copied out."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from grabient_ops.cli.common import MOST, Json, open_app, print_json, print_line, print_table, warn
from grabient_ops.cli.fresh import catch_up, refresh, refresh_refined
from grabient_ops.cli.legible import legible
from grabient_ops.cli.progress import progress_bar


def sync(
    rebuild: Annotated[bool, typer.Option(help="Read every answer again.")] = False,
    follow: Annotated[bool, typer.Option(help="Stay, and keep it up to date.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the warehouse up to date; a running worker does it by itself."""
    opened = open_app()
    done = refresh(opened, rebuild=rebuild)
    opened.refresh_refined()
    if as_json:
        print_json(asdict(done))
    else:
        print_line(f"generation {done.generation}: {done.answers:,} answers read")
    if follow:
        from grabient_ops.analytics.follower import run

        run(opened.lake, opened.settings.store_url)


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT; `-` reads it from stdin.")],
    rows: Annotated[int, typer.Option(min=1, max=MOST, help="How many rows at most.")] = 1000,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Seconds it may take.")
    ] = 10.0,
    memory_mb: Annotated[int, typer.Option(min=64, max=MOST, help="Memory it may take.")] = 1024,
    as_json: Json = False,
) -> None:
    """Run one SELECT over the warehouse; it can change and see nothing else."""
    from grabient_ops.analytics.console import Limits, run_query

    opened = open_app()
    catch_up(opened)
    refresh_refined(opened)
    text = sys.stdin.read() if statement == "-" else statement
    limits = Limits(rows=rows, timeout_s=timeout_s, memory_mb=memory_mb)
    table = run_query(opened.lake, text, limits=limits)
    if as_json:
        print_json(asdict(table))
        return
    cells = [
        ["" if cell is None else legible(str(cell), 200) for cell in row] for row in table.rows
    ]
    print_table(table.columns, cells)
    if table.truncated:
        warn(f"only the first {rows:,} rows; --rows shows more")


def export(
    target: Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix (R2 too).")],
    as_json: Json = False,
) -> None:
    """Copy the warehouse, as Parquet, to a folder or an object store; only what is new."""
    from grabient_ops.analytics.export import export as copy_out

    opened = open_app()
    catch_up(opened)
    refresh_refined(opened)
    with progress_bar("copying") as show:
        done = copy_out(opened.lake, target, opened.settings, on_progress=show)
    if as_json:
        print_json(asdict(done))
    else:
        print_line(
            f"generation {done.generation} to {target}: {done.copied:,} files copied "
            f"({done.bytes:,} bytes), {done.kept:,} kept, {done.removed:,} removed"
        )
