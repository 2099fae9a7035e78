"""What `tag` and `refine` do with an order: say what it costs, place it, wait for its end."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import console, print_json, print_line, usd, warn

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.pipeline.orders import Order, Placed

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be asked and what it costs.")
]


def carry_out(
    app: "App",
    order: "Order",
    command: str,
    describe: "Callable[[Placed], Mapping[str, Any]]",
    *,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Do with an order what the options say.

    Args:
        app: whose store it is for.
        order: what is asked for.
        command: which asks.
        describe: what `--json` says of the order beside its requests.
        dry_run: only say what it would cost.
        wait: stay until all is answered.
        as_json: print one document.

    Raises:
        GrabientError: it cannot be placed; or waited for, and something is left undone.
    """
    if dry_run:
        print_estimate(app, order, as_json=as_json)
        return
    placed = _place(app, order)
    if wait:
        _wait_until_done(app, as_json=as_json)
    elif as_json:
        print_json({"requests": placed.requests, **describe(placed)})
    else:
        print_line(f"{placed.requests:,} requests are due; a running worker sends them now")
        once = f"`{command} --wait` once"
        print_line(f"no worker yet? `grabient-ops worker` works until stopped, {once}")


def _place(app: "App", order: "Order") -> "Placed":
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


def _wait_until_done(app: "App", *, as_json: bool) -> None:
    """Work until all is answered, then print the status, also when something was left undone."""
    from grabient_ops.cli.session import work_until_done
    from grabient_ops.cli.status import render_status
    from grabient_ops.pipeline.status import read_status

    try:
        work_until_done(app)
    finally:
        status = read_status(app.services)
        if as_json:
            print_json(status)
        else:
            console().print(render_status(status))


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
