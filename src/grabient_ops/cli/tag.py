"""`grabient-ops tag`."""

from math import isfinite
from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.budgets import Budget, NoBudget, read_budget
from grabient_ops.cli.common import MOST, Json, open_app, require_known
from grabient_ops.cli.ordering import DryRun, carry_out

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.providers.catalog import Model


def tag(
    runs: Annotated[int, typer.Option(min=1, max=1000, help="How often each model tags each.")] = 1,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model; may be repeated. Default: the ten.")
    ] = None,
    provider: Annotated[
        list[str] | None, typer.Option(help="Only this provider's models; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Only so many palettes, oldest first.")
    ] = None,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="Leave palettes out once their tags have settled.")
    ] = False,
    flips: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --adaptive: a palette has settled when another run is expected to flip "
            "fewer tags than this. Default: 0.5.",
        ),
    ] = None,
    budget: Budget = None,
    no_budget: NoBudget = False,
    dry_run: DryRun = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until all is answered; works if nobody else does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have palettes tagged: every palette by every model, so many runs."""
    from grabient_ops.pipeline.orders import TaggingOrder

    threshold = _threshold(flips, adaptive=adaptive)
    app = open_app()
    app.refuse_mixing()
    models = choose_models(app, model or [], provider or [])
    amount = read_budget(budget, lift=no_budget)
    order = TaggingOrder(models, runs, limit, threshold, amount)
    about = {"models": [model.id for model in models], "runs": runs}
    carry_out(app, order, "tag", lambda _: about, dry_run=dry_run, wait=wait, as_json=as_json)


def _threshold(flips: float | None, *, adaptive: bool) -> float | None:
    """Return the expected flips below which a palette has settled; None when none ever does."""
    from grabient_ops.pipeline.adaptive import USUAL_FLIPS

    if flips is not None and not adaptive:
        raise typer.BadParameter("it needs --adaptive", param_hint="--flips")
    if flips is not None and not isfinite(flips):
        raise typer.BadParameter("it must be a finite number", param_hint="--flips")
    return (USUAL_FLIPS if flips is None else flips) if adaptive else None


def choose_models(app: "App", names: list[str], providers: list[str]) -> "list[Model]":
    """Return the models that the words mean: the named ones, or the ten; then by provider.

    Raises:
        ConfigError: a name is unknown, a model is retired, or nothing is left.
    """
    from grabient_ops.pipeline.orders import choose_models as choose
    from grabient_ops.providers.base import PROVIDERS

    require_known(providers, PROVIDERS, "--provider")
    return choose(app.catalog, names, providers, app.services.now().date())
