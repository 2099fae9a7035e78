"""What `grabient-ops demo` shows at its end: progress, cost, one refined palette, a search."""

from typing import TYPE_CHECKING, Any

from grabient_ops.cli.common import console, print_line, print_table, usd, warn
from grabient_ops.cli.legible import legible
from grabient_ops.cli.status import render_status

if TYPE_CHECKING:
    from grabient_ops.analytics.search.index import Hit, Index
    from grabient_ops.app import App

_QUERY = "night by the sea"
_HITS = 3


def print_demo(app: "App", report: dict[str, Any]) -> None:
    """Print the report for people."""
    console().print(render_status(report))
    _print_costs(app)
    _print_refined(app)
    runs, refinement = report["runs"], report["refinement"]
    expected, succeeded = (sum(run[key] for run in runs) for key in ("expected", "succeeded"))
    print_line(
        f"{report['palettes']:,} palettes x {len(report['models'])} models x "
        f"{report['target_runs']} runs: {succeeded:,} of {expected:,} requests tagged, "
        f"{refinement['refined']:,} palettes refined, {usd(report['cost_usd'])} at batch prices, "
        f"{report['elapsed_s']:.1f} s"
    )
    print_line(f"home: {report['home']}")
    warn("the answers came from the sandbox; nothing was spent")


def _print_costs(app: "App") -> None:
    from grabient_ops.pipeline.costs import report_costs

    costs = report_costs(app.services, "provider", None)
    rows = [
        (row["kind"], row["provider"], f"{row['answers']:,}", usd(row["cost_usd"]),
         usd(row["saved_usd"]))
        for row in costs["rows"]
    ]  # fmt: skip
    print_table(["stage", "provider", "#answers", "#cost", "#saved by batches"], rows)


def _print_refined(app: "App") -> None:
    """Show one refined palette and what a search finds; nothing when none could be refined."""
    from grabient_ops.analytics.search.index import EmptyIndexError, open_index

    try:
        index = open_index(app.lake)
    except EmptyIndexError:
        warn("no palette is refined")
        return
    hits = index.search(_QUERY, app.embedder, _HITS)
    print_line(f"pictures: {app.pictures.place}")
    _print_palette(index, hits[0])
    print_line(f"grabient-ops search {_QUERY!r}:")
    for hit in hits:
        print_line(f"  {hit.score:.3f}  {hit.seed}  {legible(hit.embed_text, 100)}")
    print_line()


def _print_palette(index: "Index", hit: "Hit") -> None:
    count = len(index.seeds)
    print_line(f"one of {count:,} refined palettes, {hit.seed}:")
    for field, value in hit.tags.items():
        words = ", ".join(value) if isinstance(value, list) else value
        if words:
            print_line(f"  {field}: {legible(words, 120)}")
    print_line(f"  embed_text: {legible(hit.embed_text, 400)}")
