"""`grabient-ops search`."""

from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.common import MOST, Json, open_app, print_json, print_line
from grabient_ops.cli.fresh import refresh_refined
from grabient_ops.cli.legible import legible

if TYPE_CHECKING:
    from grabient_ops.analytics.search.index import Hit

_TAGS = ("dominant_colors", "mood", "associations")


def search(
    text: Annotated[str, typer.Argument(help="What it should be like: `calm misty morning`.")],
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many palettes at most.")] = 10,
    as_json: Json = False,
) -> None:
    """Find refined palettes by meaning, the closest first."""
    from grabient_ops.analytics.search.index import open_index

    app = open_app()
    refresh_refined(app)
    hits = open_index(app.lake).search(text, app.embedder, limit)
    if as_json:
        print_json([hit._asdict() for hit in hits])
        return
    for hit in hits:
        print_line(f"{hit.score:.3f}  {hit.seed}")
        print_line(f"       {_shown(hit)}")


def _shown(hit: "Hit") -> str:
    """Return a few tags for people."""
    fields = (", ".join((hit.tags.get(field) or [])[:3]) for field in _TAGS)
    return legible("; ".join(filter(None, fields)))
