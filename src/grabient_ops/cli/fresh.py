"""Brings the warehouse up to date for a command, and opens it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from grabient_ops.cli.common import open_app, warn
from grabient_ops.cli.progress import counting

if TYPE_CHECKING:
    from grabient_ops.analytics.sync import Synced
    from grabient_ops.analytics.warehouse import Warehouse
    from grabient_ops.app import App

EngineName: TypeAlias = Literal["duckdb", "spark"]


def refresh(app: "App", *, rebuild: bool = False) -> "Synced":
    """Bring the lake up to date; the store's schema is made or migrated first."""
    from grabient_ops.analytics.sync import sync

    app.store.close()
    with counting("reading", "answers") as show:
        return sync(app.lake, app.settings.store_url, rebuild=rebuild, on_progress=show)


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
    with counting("reading", "answers") as show:
        sync.catch_up(app.lake, app.settings.store_url, warn, on_progress=show)


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
