"""The options that questions share: which answers they are about, and what counts them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.common import MOST, require_known
from grabient_ops.cli.fresh import EngineName

if TYPE_CHECKING:
    from grabient_ops.analytics.questions.asking import Selection

_SOURCES = ("own", "d1", "convex")


def _known_category(word: str | None) -> str | None:
    from grabient_ops.tagging.vocabulary import FIELDS

    require_known([word], FIELDS)
    return word


def _drawable_file(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in {".svg", ".png"}:
        raise typer.BadParameter(f"{path.name!r} should end in .svg or .png")
    return path


def _known_sources(words: list[str] | None) -> list[str] | None:
    require_known(words or [], _SOURCES)
    return words


Category = Annotated[
    str | None, typer.Option(callback=_known_category, help="Only this category, e.g. mood.")
]
Prompts = Annotated[
    list[str] | None,
    typer.Option("--prompt", help="Only this prompt version or its beginning; may be repeated."),
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Only this model; may be repeated.")
]
Runs = Annotated[
    list[int] | None, typer.Option("--run", min=1, max=MOST, help="Only this run; may be repeated.")
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        callback=_known_sources,
        metavar="own|d1|convex",
        help="Only answers that came from here; may be repeated.",
    ),
]
Plot = Annotated[
    Path | None, typer.Option(callback=_drawable_file, help="Draw it too, as .svg or .png.")
]
Engine = Annotated[
    EngineName, typer.Option(help="What counts: DuckDB here, or Apache Spark (extra `spark`).")
]


def selection(
    prompts: list[str] | None = None,
    models: list[str] | None = None,
    runs: list[int] | None = None,
    sources: Sequence[str] | None = None,
) -> "Selection":
    """Make what the options say."""
    from grabient_ops.analytics.questions.asking import Selection

    return Selection(prompts or (), models or (), runs or (), sources or ())
