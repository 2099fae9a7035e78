"""`grabient-ops refine`."""

from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.budgets import Budget, NoBudget, read_budget
from grabient_ops.cli.common import MOST, Json, open_app
from grabient_ops.cli.ordering import DryRun, carry_out

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.pipeline.refinement import RefinementPass


def refine(
    model: Annotated[
        str | None, typer.Option(help="What refines. Default: GRABIENT_OPS_REFINEMENT_MODEL.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Sum up the answers to this prompt version; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Only so many palettes, those with most answers."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=100, help="How often each is refined.")] = 1,
    pictures: Annotated[bool, typer.Option(help="Show the model each palette's picture.")] = True,
    budget: Budget = None,
    no_budget: NoBudget = False,
    dry_run: DryRun = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until all is refined; works if nobody else does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have one strong model turn the consensus of each palette into canonical tags."""
    from grabient_ops.pipeline.orders import RefinementOrder

    app = open_app()
    app.refuse_mixing()
    wanted = make_pass(app, model, source or [], limit, runs, pictures=pictures)
    order = RefinementOrder(wanted, read_budget(budget, lift=no_budget))
    carry_out(
        app,
        order,
        "refine",
        lambda placed: {"model": wanted.model.id, "palettes": placed.palettes},
        dry_run=dry_run,
        wait=wait,
        as_json=as_json,
    )


def make_pass(
    app: "App",
    model: str | None,
    sources: list[str],
    limit: int | None,
    runs: int,
    *,
    pictures: bool,
) -> "RefinementPass":
    """Make what the options say.

    Raises:
        ConfigError: the model is unknown or retired.
    """
    from grabient_ops.pipeline.refinement import RefinementPass

    choice = app.refinement_choice(model, with_pictures=pictures)
    return RefinementPass(choice.model, sources, limit, runs, choice.pictures)
