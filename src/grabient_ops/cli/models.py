"""`grabient-ops models`."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_table, require_known

if TYPE_CHECKING:
    from grabient_ops.providers.catalog import Model

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look at the models that can be asked."
)
_PRICES = (
    "input", "cached_input", "output", "batch_input", "batch_cached_input", "batch_output",
)  # fmt: skip
_SENT = (
    "structured_output", "temperature", "max_output_tokens", "extra",
    "batch_requests", "batch_bytes", "queue_tokens", "image_tokens", "as_of", "source",
)  # fmt: skip


@app.command("list")
def list_(
    all_: Annotated[
        bool, typer.Option("--all", help="Retired ones too; --json always has them.")
    ] = False,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    as_json: Json = False,
) -> None:
    """List models: state, prices in USD per million tokens, and what is sent to them."""
    from grabient_ops.providers.base import PROVIDERS

    require_known([provider], PROVIDERS, "--provider")
    today = datetime.now(UTC).date()
    catalog = open_app().catalog
    models = [model for model in catalog.models if provider in {None, model.provider}]
    if as_json:
        print_json([_document(model, today) for model in models])
        return
    shown = [model for model in models if all_ or model.status(today) != "retired"]
    columns = [
        "model", "default", "state", "#input", "#output", "#batch input", "#batch output",
        "answers in", "#temperature",
    ]  # fmt: skip
    print_table(columns, [_cells(model, today) for model in shown])


def _document(model: "Model", today: date) -> dict[str, Any]:
    fate = {"retires_on": model.retires_on, "neighbour": model.neighbour}
    return {
        "provider": model.provider,
        "model": model.id,
        "default": model.default,
        "status": model.status(today),
        **{name: value for name, value in fate.items() if value is not None},
        **{f"{name}_usd": getattr(model.prices, name, None) for name in _PRICES},
        "prices_as_of": getattr(model.prices, "as_of", None),
        **{name: getattr(model, name) for name in _SENT},
    }


def _cells(model: "Model", today: date) -> tuple[object, ...]:
    status = model.status(today)
    prices = model.prices
    return (
        f"{model.provider}/{model.id}",
        "yes" if model.default else "",
        status if model.retires_on is None else f"{status} {model.retires_on}",
        *((prices.input, prices.output, prices.batch_input, prices.batch_output)
          if prices else ("unknown", "", "", "")),
        model.structured_output,
        model.temperature,
    )  # fmt: skip
