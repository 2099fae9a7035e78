"""Runs the worker in the foreground, or follows the one that runs, and shows how it goes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import structlog

from grabient_ops.cli.common import warn
from grabient_ops.cli.progress import bars_of_runs
from grabient_ops.errors import GrabientError, StoreError
from grabient_ops.logs import scrub

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.pipeline.standstill import Standstill
    from grabient_ops.pipeline.worker import Worker

log = structlog.get_logger(__name__)
_FOLLOW_EVERY_S = 0.5


def work_until_done(app: "App") -> None:
    """Return when all that was asked for is answered or has failed for good.

    Works itself when nobody holds the home, else follows the worker that does, and takes over
    when that one ends.

    Raises:
        GrabientError: something is left undone; the message says what and why.
    """
    while True:
        try:
            with app.hold_home():
                _work(app, until_done=True)
                return
        except StoreError:
            if not _is_held(app):
                raise
        if _follow(app):
            return


def work_until_stopped(app: "App", *, on_start: Callable[[], None]) -> None:
    """Work until SIGINT or SIGTERM.

    Args:
        app: whose home is worked on.
        on_start: called once the home is this process's own.

    Raises:
        StoreError: another worker holds the home.
    """
    from grabient_ops.analytics.follower import start_follower

    with app.hold_home():
        on_start()
        # It ends with this process, after a last look at what is new.
        start_follower(app.settings.home, app.settings.store_url)
        _work(app, until_done=False)


def _work(app: "App", *, until_done: bool) -> None:
    from grabient_ops.pipeline.process import leave, tune_process

    app.refuse_mixing()
    worker = app.worker()
    tune_process()
    with _stopping_on_signals(worker) as stopped, bars_of_runs(app) as show:
        try:
            standstill = worker.run(until_done=until_done, on_tick=show)
        except Exception as error:
            log.debug("the worker ended", exc_info=True)
            leave(1, f"error: {scrub(str(error))}")
    if standstill is None:
        in_flight = _count_open(app)
        leave(
            0 if stopped == [signal.SIGTERM] else 130,
            f"stopped; {in_flight} batches go on at the providers, the next start collects them",
        )
    _complain(app, standstill)


def _count_open(app: "App") -> int:
    from grabient_ops.store.batches import list_open_batch_ids

    with app.store.read() as connection:
        return len(list_open_batch_ids(connection))


def _complain(app: "App", standstill: "Standstill") -> None:
    from grabient_ops.pipeline.status import read_status

    blocked, over_budget = standstill
    for (provider, model), block in sorted(blocked.items()):
        warn(f"{provider}/{model} waits: {block.reason}")
    stopped = read_status(app.services)["batches"].get("stopped", 0)
    if stopped:
        message = f"{stopped} batches stopped (`grabient-ops workflows list` shows why)"
        raise GrabientError(f"{message}; the next start goes on with them")
    if blocked:
        message = f"{len(blocked)} models could not go on; mend that and start again"
        raise GrabientError(message)
    if over_budget:
        raise GrabientError(over_budget)


def _follow(app: "App") -> bool:
    """Watch the worker that holds the home; False when it ended before all was done."""
    from grabient_ops.pipeline.runs import Planner
    from grabient_ops.pipeline.standstill import Onlooker
    from grabient_ops.pipeline.status import is_all_answered

    warn("another worker holds the home: following it")
    onlooker = Onlooker(app.services, Planner(app.services))
    with bars_of_runs(app) as show:
        while (standstill := onlooker.look()) is None:
            show()
            if is_all_answered(app.services):
                return True
            if not _is_held(app):
                return False
            time.sleep(_FOLLOW_EVERY_S)
    _complain(app, standstill)
    return False


def _is_held(app: "App") -> bool:
    try:
        with app.hold_home():
            return False
    except StoreError:
        return True


@contextmanager
def _stopping_on_signals(worker: "Worker") -> Iterator[list[int]]:
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if received:
            # Asked twice: every instant is safe to die at.
            os._exit(128 + number)
        received.append(number)
        worker.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
