"""What `tag`, `refine` and `cost` share about limits on spending."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import print_json, print_line, usd, warn

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.pipeline.orders import Order, Placed
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


def place(app: "App", order: "Order") -> "Placed":
    """Ask for a pass, and say what waits for a key and which limits it is under.

    Raises:
        ConfigError: no model has a key, or one has no known price and there is a limit.
    """
    from grabient_ops.pipeline import orders
    from grabient_ops.pipeline.limits import dollars

    placed = orders.place(app.services, order)
    for variable, blocked in placed.waiting.items():
        warn(f"{variable} is not set: {', '.join(blocked)} must wait; the others go on")
    for limit in placed.limits:
        how = "in force" if order.budget == "keep" else "now in force"
        left = f"{dollars(max(limit.left, 0))} left"
        warn(f"{limit.name} is {how}: {limit.describe()}, {left}; {limit.advice}")
    return placed


def print_estimate(app: "App", order: "Order", *, as_json: bool) -> None:
    """Print what a pass would ask and cost, and how that fits under the limits.

    Raises:
        ConfigError: a model has no known price, and there is a limit.
    """
    from grabient_ops.pipeline.orders import fit_document, foresee

    estimate, limits = foresee(app.services, order)
    document = estimate.to_json()
    fits = [fit_document(limit, estimate) for limit in limits]
    if as_json:
        print_json({**document, "limits": fits})
        return
    print_line(
        f"{estimate.requests:,} requests, about {estimate.input_tokens:,} tokens in, "
        f"{estimate.output_tokens:,} out"
    )
    print_line(
        f"about {usd(estimate.batch_usd)} (at most {usd(estimate.most_usd)}); without batches "
        f"{usd(estimate.standard_usd)}, so {usd(document['saved_usd'])} are saved"
    )
    for limit, fit in zip(limits, fits, strict=True):
        print_line(f"{limit.describe()}, which {_fit(fit)}")


def _fit(document: "Mapping[str, Any]") -> str:
    if document["covers_most"]:
        return "suffices in any case"
    if document["covers_expected"]:
        return "should suffice"
    return "may not suffice: the rest would wait"
