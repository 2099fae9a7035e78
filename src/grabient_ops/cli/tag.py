"""`grabient-ops tag`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_line, usd, warn

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.pipeline.estimate import Estimate
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
        int | None, typer.Option(min=1, help="Only so many palettes, oldest first.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0, help="USD; refuse what may cost more than this.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be asked and what it costs.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until all is answered; works if nobody else does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have palettes tagged: every palette by every model, so many runs."""
    from grabient_ops.pipeline.estimate import estimate_runs
    from grabient_ops.pipeline.tagging import request_runs

    app = open_app()
    app.refuse_mixing()
    models = choose_models(app, model or [], provider or [])
    estimate = estimate_runs(app.services, models, runs, limit)
    if budget is not None:
        _check_budget(estimate, budget)
    if dry_run:
        _print_estimate(estimate, as_json=as_json)
        return
    _warn_about_keys(app, models)
    request_runs(app.services, models, runs, limit)
    if wait:
        _wait(app, as_json=as_json)
    elif as_json:
        print_json({"requests": estimate.requests, "models": [m.id for m in models], "runs": runs})
    else:
        print_line(f"{estimate.requests:,} requests are due; a running worker sends them now")
        print_line("no worker yet? `grabient-ops worker` works until stopped, `tag --wait` once")


def choose_models(app: "App", names: list[str], providers: list[str]) -> "list[Model]":
    """Return the models that the words mean: the named ones, or the ten; then by provider.

    Raises:
        ConfigError: a name is unknown, a model is retired, or nothing is left.
    """
    from grabient_ops.errors import ConfigError
    from grabient_ops.providers.base import PROVIDERS

    for name in providers:
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise typer.BadParameter(f"{name!r} is none of {known}", param_hint="--provider")
    today = app.services.now().date()
    chosen = [app.catalog.find(name) for name in dict.fromkeys(names)]
    if not names:
        chosen = list(app.catalog.defaults())
        if providers:
            chosen = [m for m in app.catalog.models if m.default and m.provider in providers]
    elif providers:
        chosen = [model for model in chosen if model.provider in providers]
    for model in chosen:
        app.catalog.require_living(model, today)
    if not chosen:
        raise ConfigError("no model is left; see `grabient-ops models list`")
    return chosen


def _check_budget(estimate: "Estimate", budget: float) -> None:
    from grabient_ops.errors import ConfigError

    if estimate.most_usd is None:
        raise ConfigError("a model without a known price cannot be used under a budget")
    if estimate.most_usd > budget:
        message = f"this may cost up to {usd(estimate.most_usd)}, over the budget of {usd(budget)}"
        raise ConfigError(f"{message}; nothing was sent")


def _warn_about_keys(app: "App", models: "list[Model]") -> None:
    from grabient_ops.errors import ConfigError

    missing: dict[str, list[str]] = {}
    for model in models:
        variable = app.missing_key(model.provider)
        if variable:
            missing.setdefault(variable, []).append(model.id)
    if sum(map(len, missing.values())) == len(models):
        raise ConfigError(f"no key is set for these models; set {' or '.join(missing)}")
    for variable, blocked in missing.items():
        warn(f"{variable} is not set: {', '.join(blocked)} must wait; the others go on")


def _print_estimate(estimate: "Estimate", *, as_json: bool) -> None:
    document: dict[str, Any] = estimate.to_json()
    if as_json:
        print_json(document)
        return
    print_line(f"{estimate.requests:,} requests, about {estimate.input_tokens:,} tokens in, "
               f"{estimate.output_tokens:,} out")  # fmt: skip
    print_line(f"about {usd(estimate.batch_usd)} (at most {usd(estimate.most_usd)}); "
               f"without batches {usd(estimate.standard_usd)}")  # fmt: skip


def _wait(app: "App", *, as_json: bool) -> None:
    from grabient_ops.cli.common import console
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
