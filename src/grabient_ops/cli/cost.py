"""`grabient-ops cost`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from grabient_ops.cli.budgets import MOST_USD, Budget, read_budget
from grabient_ops.cli.common import (
    MOST,
    Json,
    group_meaning,
    open_app,
    print_json,
    print_line,
    print_table,
    usd,
)
from grabient_ops.cli.ordering import print_estimate
from grabient_ops.cli.refine import make_pass
from grabient_ops.cli.tag import choose_models

if TYPE_CHECKING:
    from grabient_ops.pipeline.limits import Limit

app = typer.Typer(
    cls=group_meaning("report"),
    rich_markup_mode=None,
    help="What passes will cost, and what they did.",
)
_Dimension = Literal["provider", "model", "run", "prompt-version", "palette"]
_COLUMNS = ["#answers", "#input tokens", "#output tokens", "#cost", "#standard", "#saved"]
_ROWS = 50


@app.command()
def estimate(
    runs: Annotated[int, typer.Option(min=1, max=1000, help="How often each model is asked.")] = 1,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model; may be repeated. Default: the ten.")
    ] = None,
    provider: Annotated[
        list[str] | None, typer.Option(help="Only this provider's models; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Only so many palettes.")
    ] = None,
    budget: Budget = None,
    refine: Annotated[
        bool, typer.Option("--refine", help="Of refining what is tagged, by one model.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what a pass would ask and cost; nothing is asked for."""
    from grabient_ops.pipeline.orders import Order, RefinementOrder, TaggingOrder

    ops = open_app()
    amount = read_budget(budget, lift=False)
    order: Order
    if refine:
        if provider or len(model or []) > 1:
            raise typer.BadParameter("is by one model, given with --model", param_hint="--refine")
        wanted = make_pass(ops, model[0] if model else None, [], limit, runs, pictures=True)
        order = RefinementOrder(wanted, amount)
    else:
        models = choose_models(ops, model or [], provider or [])
        order = TaggingOrder(models, runs, limit, budget=amount)
    print_estimate(ops, order, as_json=as_json)


@app.command()
def report(
    by: Annotated[_Dimension, typer.Option(help="What the rows stand for.")] = "model",
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Rows, the dearest; default: 50, with --json all."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the answers have cost, to the last pico-dollar, and how good the estimates were."""
    from grabient_ops.pipeline.costs import report_costs

    if limit is None and not as_json:
        limit = _ROWS
    document = report_costs(open_app().services, by, limit)
    if as_json:
        print_json(document)
    else:
        _print_report(document)


def _print_report(document: dict[str, Any]) -> None:
    from grabient_ops.pipeline.costs import COLUMNS

    keys = COLUMNS[document["by"]]
    rows = [[row["kind"], *(row[key] for key in keys), *_cells(row)] for row in document["rows"]]
    blanks = [""] * len(keys)
    sums = [[kind, *blanks, *_cells(total)] for kind, total in document["kinds"].items()
            if total["answers"]]  # fmt: skip
    headings = [key.replace("_", " ") for key in keys]
    print_table(["stage", *headings, *_COLUMNS], rows)
    print_table(
        ["sum", *blanks, *_COLUMNS], [*sums, ["total", *blanks, *_cells(document["total"])]]
    )
    unpriced = document["total"]["unpriced_answers"]
    if unpriced:
        print_line(f"{unpriced:,} answers have no known price and are in no sum")
    if document["reserved_pico"]:
        print_line(f"{usd(document['reserved_usd'])} are reserved for what is in flight or unclear")
    dates = sorted({price["as_of"] for price in document["prices"]})
    if dates:
        print_line(f"prices as of {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}")
    _print_passes(document["passes"])


def _cells(row: dict[str, Any]) -> list[str]:
    amounts = [usd(row[key]) for key in ("cost_usd", "standard_usd", "saved_usd")]
    return [f"{row[key]:,}" for key in ("answers", "input_tokens", "output_tokens")] + amounts


def _print_passes(passes: Iterable[dict[str, Any]]) -> None:
    rows = [
        (
            item["pass"][:8], item["kind"], item["prompt_version"], f"{item['requests']:,}",
            f"{item['estimated_requests']:,}", usd(item["estimated_usd"]), usd(item["actual_usd"]),
            "" if item["error_percent"] is None else f"{item['error_percent']:+.1f} %",
        )
        for item in passes
    ]  # fmt: skip
    columns = ["pass", "stage", "prompt", "#answered", "#asked", "#estimate", "#actual", "#error"]
    if rows:
        print_table(columns, rows)


@app.command()
def budget(
    set_: Annotated[
        float | None,
        typer.Option("--set", min=0, max=MOST_USD, help="USD; the new budget of the newest pass."),
    ] = None,
    lift: Annotated[
        bool, typer.Option("--lift", help="Lift the budget of the newest pass.")
    ] = False,
    prompt: Annotated[
        str | None, typer.Option(help="Of this prompt version. Default: the current tagging one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the limits on spending and what is left of them; change one, and what waits goes on."""
    from grabient_ops.pipeline.orders import limit_document
    from grabient_ops.pipeline.passes import change_budget, list_limits

    services = open_app().services
    amount = read_budget(set_, lift=lift)
    if amount != "keep":
        change_budget(services, prompt, amount)
    limits = list_limits(services)
    if as_json:
        print_json(
            [{"prompt_version": version, **limit_document(item)} for version, item in limits]
        )
    elif not limits:
        print_line("no budget is in force; `tag --budget USD` or GRABIENT_OPS_BUDGET_USD sets one")
    else:
        _print_limits(limits)


def _print_limits(limits: "Iterable[tuple[str | None, Limit]]") -> None:
    from grabient_ops.pipeline.limits import dollars

    rows = [
        (version or "all", item.name, dollars(item.cap), dollars(item.spending.settled),
         dollars(item.spending.reserved), dollars(max(item.left, 0)))
        for version, item in limits
    ]  # fmt: skip
    print_table(["prompt", "limit", "#budget", "#spent", "#reserved", "#left"], rows)
