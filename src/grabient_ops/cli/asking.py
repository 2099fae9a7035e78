"""What the commands that ask the warehouse share: an up-to-date lake, choices, bars, plots."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from grabient_ops.cli.common import MOST, open_app, require_known, warn
from grabient_ops.cli.legible import legible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grabient_ops.analytics.questions.asking import Selection
    from grabient_ops.analytics.sync import Synced
    from grabient_ops.analytics.warehouse import Warehouse
    from grabient_ops.app import App

_BAR_WIDTH = 20
_TAG_WIDTH = 48
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


EngineName: TypeAlias = Literal["duckdb", "spark"]
Engine = Annotated[
    EngineName, typer.Option(help="What counts: DuckDB here, or Apache Spark (extra `spark`).")
]


def refresh(app: "App", *, rebuild: bool = False) -> "Synced":
    """Bring the lake up to date; the store's schema is made or migrated first."""
    from grabient_ops.analytics.sync import sync

    app.store.close()
    return sync(app.lake, app.settings.store_url, rebuild=rebuild)


def refresh_refined(app: "App") -> None:
    """Bring the refined palettes up to date; while that fails, what is there has to do."""
    from grabient_ops.errors import GrabientError

    try:
        app.refresh_refined()
    except GrabientError as error:
        warn(f"refined palettes are as they were before: {error}")


def catch_up(app: "App") -> None:
    """Bring the lake up to date for a question, or say why its answer is a little older."""
    from grabient_ops.analytics import sync

    app.store.close()
    sync.catch_up(app.lake, app.settings.store_url, warn)


@contextmanager
def fresh_warehouse(
    app: "App | None" = None, engine: EngineName = "duckdb"
) -> "Iterator[Warehouse]":
    """Bring the lake up to date and open it.

    Raises:
        InputError: there is no answer in it.
        SparkError: Spark is asked for and cannot be used.
    """
    from grabient_ops.errors import InputError

    app = app or open_app()
    catch_up(app)
    with _open(app.lake, engine) as warehouse:
        if not warehouse.connection.execute("SELECT ok FROM responses LIMIT 1").fetchall():
            raise InputError("there are no answers yet; `grabient-ops tag` asks for some")
        yield warehouse


def _open(lake: Path, engine: EngineName) -> "Warehouse":
    if engine == "spark":
        from grabient_ops.analytics.spark import open_spark_warehouse

        return open_spark_warehouse(lake)
    from grabient_ops.analytics.warehouse import open_warehouse

    return open_warehouse(lake)


def selection(
    prompts: list[str] | None = None,
    models: list[str] | None = None,
    runs: list[int] | None = None,
    sources: Sequence[str] | None = None,
) -> "Selection":
    """Make what the options say."""
    from grabient_ops.analytics.questions.asking import Selection

    return Selection(prompts or (), models or (), runs or (), sources or ())


def draw(figure: "Figure", path: Path) -> None:
    """Write a plot and say so."""
    from grabient_ops.analytics.plots import save

    save(figure, path)
    warn(f"drawn to {path}")


def bar(share: float | None) -> str:
    """Draw a share from 0 to 1."""
    return "█" * round(_BAR_WIDTH * max(share or 0, 0))


def percent(share: float | None) -> str:
    """Write a share for people."""
    return "" if share is None else f"{share:.1%}"


def label(tag: str) -> str:
    """Write a tag for people: no controls, one line, not too long."""
    return legible(tag, _TAG_WIDTH).replace("\n", "\\n")


def model_name(provider: str, model: str) -> str:
    """Write a model for people; imported ones may be called anything."""
    return legible(f"{provider}/{model}", 80)
