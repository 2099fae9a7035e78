"""Bars on a terminal while something long goes on; nothing elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from grabient_ops.cli.common import console

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

    from grabient_ops.app import App

_SHOW_EVERY_S = 0.5


class Show(Protocol):
    """Moves a bar."""

    def __call__(self, done: int, total: int | None = None, /) -> None:
        """Say what is done, and of how much, if that is known now and was not before."""


@contextmanager
def progress_bar(
    what: str,
    total: int | None = None,
    *,
    columns: "Callable[[], tuple[ProgressColumn, ...]] | None" = None,
) -> Iterator[Show]:
    """Show one bar.

    Args:
        what: is being done.
        total: how much there is to do, where that is known already.
        columns: makes what stands in the line; a bar, its share and the time left without.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total=None, /: None
        return
    from rich.progress import Progress

    chosen = columns() if columns is not None else ()
    with Progress(*chosen, console=console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done, total=None, /: progress.update(task, completed=done, total=total)


@contextmanager
def counting(what: str, things: str) -> Iterator[Show]:
    """Show how many things are done, once some are; how many there are, nobody knows."""
    with ExitStack() as stack:
        bars: list[Show] = []

        def show(done: int, _total: int | None = None, /) -> None:
            if not bars:
                bar = progress_bar(what, columns=lambda: _count_of(things))
                bars.append(stack.enter_context(bar))
            bars[0](done)

        yield show


def _count_of(things: str) -> "tuple[ProgressColumn, ...]":
    from rich.progress import TextColumn, TimeElapsedColumn

    count = TextColumn(f"{{task.completed:,.0f}} {things}")
    return TextColumn("{task.description}"), count, TimeElapsedColumn()


@contextmanager
def bars_of_runs(app: "App") -> Iterator[Callable[[], None]]:
    """Show a bar for each run; the block calls the yielded function as often as it likes."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True)) as progress:
        bars = _BarsOfRuns(app, progress)
        yield bars.show_sometimes
        bars.show()


class _BarsOfRuns:
    def __init__(self, app: "App", progress: "Progress") -> None:
        self._app = app
        self._progress = progress
        self._bars: dict[int, TaskID] = {}
        self._next_show = 0.0

    def show_sometimes(self) -> None:
        if time.monotonic() >= self._next_show:
            self.show()
            self._next_show = time.monotonic() + _SHOW_EVERY_S

    def show(self) -> None:
        from grabient_ops.pipeline.status import read_status

        status = read_status(self._app.services)
        for run in status["runs"]:
            self._show_run(run, status["batches"])

    def _show_run(self, run: dict[str, int], states: dict[str, Any]) -> None:
        number = run["run_number"]
        if number not in self._bars:
            self._bars[number] = self._progress.add_task(f"run {number}", total=1, note="")
        waiting = states.get("waiting", 0) if run["pending"] else 0
        note = f"{run['failed']} failed" if run["failed"] else ""
        note += f" {waiting} batches waiting" if waiting else ""
        done = run["succeeded"] + run["failed"]
        bar = self._bars[number]
        self._progress.update(bar, total=run["expected"], completed=done, note=note.strip())
