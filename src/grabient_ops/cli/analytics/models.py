"""`grabient-ops analytics`: what the answers say about the models."""

from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.analytics.looks import bar, draw, model_name, percent
from grabient_ops.cli.analytics.options import Models, Plot, Prompts, Runs, Sources, selection
from grabient_ops.cli.common import (
    Json,
    open_app,
    print_json,
    print_line,
    print_table,
    require_known,
    usd,
)
from grabient_ops.cli.fresh import fresh_warehouse
from grabient_ops.cli.legible import legible

if TYPE_CHECKING:
    from grabient_ops.analytics.questions.usage import Part, Used


def agreement(
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Show how far the answers agree (Krippendorff's alpha), and each pair of models."""
    from grabient_ops.analytics.questions import agreement as questions

    chosen = selection(prompt, model, run, source)
    with fresh_warehouse() as warehouse:
        rows = questions.agreement(warehouse, chosen)
        pairs = questions.pair_agreement(warehouse, chosen)
    if plot is not None:
        from grabient_ops.analytics.plots import plot_agreement

        draw(plot_agreement(rows, pairs), plot)
    if as_json:
        print_json({
            "categories": [row._asdict() for row in rows], "pairs": [row._asdict() for row in pairs]
        })  # fmt: skip
        return
    alphas = [
        (row.category, f"{row.palettes:,}", f"{row.answers:,}",
         "all alike" if row.alpha is None else f"{row.alpha:.3f}", bar(row.alpha))
        for row in rows
    ]  # fmt: skip
    print_table(["category", "#palettes", "#answers", "#alpha", ""], alphas)
    means = questions.mean_of_pairs(pairs)
    cells = [
        (legible(a, 80), legible(b, 80), f"{share:.3f}", bar(share))
        for (a, b), share in means.items()
    ]
    print_table(["model", "and model", "#tags shared (mean Jaccard)", ""], cells)


def reliability(
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    as_json: Json = False,
) -> None:
    """Estimate how reliable each model is, judged by all others (Dawid-Skene)."""
    from grabient_ops.analytics.questions.reliability import reliability as ask

    with fresh_warehouse() as warehouse:
        rows = ask(warehouse, selection(prompt, model, run, source))
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    cells = [
        (row.category, model_name(row.provider, row.model), f"{row.votes:,}", percent(row.accuracy),
         bar(row.accuracy))
        for row in rows
    ]  # fmt: skip
    print_table(["category", "model", "#votes", "#reliable", ""], cells)


def accuracy(
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    as_json: Json = False,
) -> None:
    """Hold each model's tags against what the colours say."""
    from grabient_ops.analytics.questions.accuracy import accuracy as ask

    with fresh_warehouse() as warehouse:
        rows = ask(warehouse, selection(prompt, model, run, source))
    if as_json:
        print_json([
            {**row._asdict(), "precision": row.precision, "recall": row.recall} for row in rows
        ])  # fmt: skip
        return
    cells = [
        (row.category, model_name(row.provider, row.model), f"{row.responses:,}", f"{row.said:,}",
         percent(row.precision), percent(row.recall), bar(row.precision))
        for row in rows
    ]  # fmt: skip
    print_table(["category", "model", "#answers", "#said", "#precision", "#recall", ""], cells)


def _known_parts(words: list[str] | None) -> list[str] | None:
    from grabient_ops.analytics.questions.usage import PARTS

    require_known(words or [], PARTS)
    return words


def usage(
    by: Annotated[
        list[str] | None,
        typer.Option(
            callback=_known_parts,
            help="provider, model, run_number or prompt_version; may be repeated. "
            "Default: provider and model.",
        ),
    ] = None,
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Sum up tokens and cost, and what batch prices saved."""
    from grabient_ops.analytics.questions.usage import PARTS
    from grabient_ops.analytics.questions.usage import usage as ask

    app = open_app()
    parts = [part for part in PARTS if part in (by or ("provider", "model"))]
    with fresh_warehouse(app) as warehouse:
        rows = ask(warehouse, app.model_prices(), selection(prompt, model, run, source), by=parts)
    if plot is not None:
        from grabient_ops.analytics.plots import plot_cost

        draw(plot_cost(rows), plot)
    if as_json:
        print_json([{**row._asdict(), "saved_usd": row.saved_usd} for row in rows])
    else:
        _print_usage(rows, parts)


def _print_usage(rows: "list[Used]", parts: "list[Part]") -> None:
    dearest = max((row.cost_usd or 0 for row in rows), default=0) or 1
    cells = [
        (*(legible(str(getattr(row, part)), 80) for part in parts), f"{row.requests:,}",
         f"{row.input_tokens:,}", f"{row.output_tokens:,}", usd(row.cost_usd),
         usd(row.saved_usd), bar((row.cost_usd or 0) / dearest))
        for row in rows
    ]  # fmt: skip
    columns = ["#requests", "#input tokens", "#output tokens", "#cost", "#saved by batches", ""]
    print_table([*(part.replace("_", " ") for part in parts), *columns], cells)
    cost = sum(row.cost_usd or 0 for row in rows)
    saved = sum(row.saved_usd or 0 for row in rows)
    print_line(f"{usd(cost)} at batch prices; {usd(saved)} saved")
    unpriced = sum(row.unpriced for row in rows)
    if unpriced:
        print_line(f"{unpriced:,} requests of models without a known price are not in these sums")


def errors(
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    as_json: Json = False,
) -> None:
    """Count how each model's requests failed."""
    from grabient_ops.analytics.questions.usage import errors as ask

    with fresh_warehouse() as warehouse:
        rows = ask(warehouse, selection(prompt, model, run, source))
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    cells = [
        (model_name(row.provider, row.model), row.error_class, f"{row.failed:,}",
         f"{row.responses:,}", percent(row.share), bar(row.share))
        for row in rows
    ]  # fmt: skip
    print_table(["model", "error", "#failed", "#of", "#share", ""], cells)
