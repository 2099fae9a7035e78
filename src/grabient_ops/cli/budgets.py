"""What `tag`, `refine` and `cost` share about limits on spending."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grabient_ops.pipeline.passes import Budget as Wanted

MOST_USD = 9_000_000
"""What still fits into the store, in pico-dollars."""
Budget = Annotated[
    float | None,
    typer.Option(min=0, max=MOST_USD, help="USD; what might cross this is not sent, and waits."),
]
NoBudget = Annotated[bool, typer.Option("--no-budget", help="Lift the budget that is in force.")]


def read_budget(budget: float | None, *, lift: bool) -> "Wanted":
    """Return what `--budget` and `--no-budget` say."""
    from grabient_ops.pipeline.limits import to_pico

    if budget is None:
        return "lift" if lift else "keep"
    if lift:
        raise typer.BadParameter("and --no-budget exclude each other", param_hint="--budget")
    if math.isnan(budget):
        raise typer.BadParameter("is no amount", param_hint="--budget")
    return to_pico(budget)
