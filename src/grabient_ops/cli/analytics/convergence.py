"""`grabient-ops analytics convergence`: whether a further run still pays."""

from math import isfinite
from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.analytics.looks import bar, draw, percent
from grabient_ops.cli.analytics.options import (
    Category,
    Models,
    Plot,
    Prompts,
    Runs,
    Sources,
    selection,
)
from grabient_ops.cli.common import Json, open_app, print_json, print_line, print_table, usd
from grabient_ops.cli.fresh import fresh_warehouse

if TYPE_CHECKING:
    from grabient_ops.analytics.questions.convergence import Convergence
    from grabient_ops.analytics.questions.stopping import Stopping


def convergence(
    category: Category = None,
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    flips: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            help="Try `tag --adaptive --flips` with this on the answers; may be repeated. "
            "Default: 0.1, 0.25, 0.5 and 1.",
        ),
    ] = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Show how much the consensus still moves with each run, and what stopping earlier saves."""
    from grabient_ops.analytics.questions.convergence import convergence as ask
    from grabient_ops.analytics.questions.stopping import THRESHOLDS, stopping

    if not all(map(isfinite, flips or ())):
        raise typer.BadParameter("it must be a finite number", param_hint="--flips")
    app = open_app()
    chosen = selection(prompt, model, run, source)
    with fresh_warehouse(app) as warehouse:
        found = ask(warehouse, chosen)
        stops = stopping(warehouse, app.model_prices(), chosen, flips or THRESHOLDS)
    rows = [row for row in found if category in {None, row.category}]
    if plot is not None:
        from grabient_ops.analytics.plots import plot_convergence

        draw(plot_convergence(rows), plot)
    if as_json:
        print_json({
            "categories": [row._asdict() for row in rows],
            "stopping": [{**row._asdict(), "saved_share": row.saved_share} for row in stops],
        })  # fmt: skip
    else:
        _print_moves(rows)
        _print_stops(stops)


def _print_moves(rows: "list[Convergence]") -> None:
    cells = [
        (row.category, row.run, f"{row.palettes:,}", f"{row.distance:.3f}", percent(row.stable),
         bar(row.stable))
        for row in rows
    ]  # fmt: skip
    print_table(["category", "#run", "#palettes", "#distance", "#stable", ""], cells)


def _print_stops(rows: "list[Stopping]") -> None:
    if not rows:
        return
    cells = [
        (f"after run {row.run}" if row.flips is None else f"below {row.flips:g} flips",
         f"{row.agreement:.3f}", f"{row.saved_requests:,}", percent(row.saved_share),
         usd(row.saved_usd), bar(row.saved_share))
        for row in rows
    ]  # fmt: skip
    print_line(
        f"had we stopped earlier, of {rows[0].requests:,} requests ({usd(rows[0].cost_usd)}) "
        f"about {rows[0].palettes:,} palettes:"
    )
    columns = ["stopped", "#agreement with the end", "#requests saved", "#share", "#saved", ""]
    print_table(columns, cells)
