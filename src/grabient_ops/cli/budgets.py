"""What `tag`, `refine` and `cost` share about limits on spending."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import print_json, print_line, usd, warn

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.pipeline.estimate import Estimate
    from grabient_ops.pipeline.limits import Limit
    from grabient_ops.pipeline.passes import Budget as Wanted
    from grabient_ops.pipeline.passes import Wish

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


def open_pass_of(app: "App", wish: "Wish", estimate: "Estimate") -> None:
    """Write the pass down, and say which limits it is under.

    Raises:
        ConfigError: a model has no known price, and there is a limit.
    """
    from grabient_ops.pipeline.limits import dollars
    from grabient_ops.pipeline.passes import open_pass

    for limit in open_pass(app.services, wish, estimate.to_json()):
        how = "in force" if wish.budget == "keep" else "now in force"
        left = f"{dollars(max(limit.left, 0))} left"
        warn(f"{limit.name} is {how}: {limit.describe()}, {left}; {limit.advice}")


def print_estimate(app: "App", wish: "Wish", estimate: "Estimate", *, as_json: bool) -> None:
    """Print what a pass would ask and cost, and how that fits under the limits.

    Raises:
        ConfigError: a model has no known price, and there is a limit.
    """
    from grabient_ops.pipeline.passes import limits_under, refuse_unpriced

    with app.store.read() as connection:
        limits = limits_under(connection, app.services, wish)
    refuse_unpriced(wish, limits)
    if as_json:
        print_json({**estimate.to_json(), "limits": [_limit(item, estimate) for item in limits]})
        return
    document = estimate.to_json()
    print_line(
        f"{estimate.requests:,} requests, about {estimate.input_tokens:,} tokens in, "
        f"{estimate.output_tokens:,} out"
    )
    print_line(
        f"about {usd(estimate.batch_usd)} (at most {usd(estimate.most_usd)}); without batches "
        f"{usd(estimate.standard_usd)}, so {usd(document['saved_usd'])} are saved"
    )
    _print_fit(limits, estimate)


def limit_document(limit: "Limit") -> dict[str, Any]:
    """Return a limit as `--json` shows it."""
    from grabient_ops.pipeline.limits import PICO

    return {
        "limit": limit.name,
        "budget_usd": limit.cap / PICO,
        "spent_usd": limit.spending.settled / PICO,
        "reserved_usd": limit.spending.reserved / PICO,
        "left_usd": limit.left / PICO,
    }


def _limit(limit: "Limit", estimate: "Estimate") -> dict[str, Any]:
    document = limit_document(limit)
    left = document["left_usd"]
    return {
        **document,
        "covers_expected": estimate.batch_usd is not None and estimate.batch_usd <= left,
        "covers_most": estimate.most_usd is not None and estimate.most_usd <= left,
    }


def _print_fit(limits: "Sequence[Limit]", estimate: "Estimate") -> None:
    for limit in limits:
        document = _limit(limit, estimate)
        fit = "may not suffice: the rest would wait"
        if document["covers_most"]:
            fit = "suffices in any case"
        elif document["covers_expected"]:
            fit = "should suffice"
        print_line(f"{limit.describe()}, which {fit}")
