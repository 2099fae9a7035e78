"""The worker of `serve`: a thread that works while no other process works on the home."""

import threading
from collections.abc import Callable
from typing import Literal, NamedTuple

import structlog

from grabient_ops.app import App
from grabient_ops.errors import StoreError
from grabient_ops.logs import scrub

log = structlog.get_logger(__name__)
_ASK_AGAIN_S = 1.0


class WorkerState(NamedTuple):
    """Who works on the home.

    Attributes:
        state: `here`, in this process; `elsewhere`, in another one; `none`, as was asked for;
            `failed`, before it could begin, and nobody works until `serve` is started again;
            `broken` at work, which can go on in a new process only.
        why: what an operator should know of it; "" when all is well.
    """

    state: Literal["here", "elsewhere", "none", "failed", "broken"]
    why: str = ""


class WorkerThread:
    """Runs the pipeline beside the server, and takes over when another worker ends.

    Attributes:
        state: who works now.
    """

    def __init__(self, app: App) -> None:
        self.state = WorkerState("elsewhere", "starting")
        self._app = app
        self._on_change: Callable[[], None] = lambda: None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._stop_working: Callable[[], None] = lambda: None

    def start(self, on_change: Callable[[], None]) -> None:
        """Begin, and return at once; `on_change` is called in the thread when the state changes."""
        self._on_change = on_change
        self._thread.start()

    def stop(self, patience_s: float) -> bool:
        """End soon; return whether workflows are under way in this process, and must be left.

        Batches in flight go on at the providers.
        """
        self._stop.set()
        self._stop_working()
        self._thread.join(patience_s)
        return self.state.state in {"here", "failed", "broken"}

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._app.hold_home():
                    self._work()
                    return
            except StoreError as error:
                self._tell(WorkerState("elsewhere", str(error)))
            except Exception as error:
                log.exception("the worker ended")
                self._tell(WorkerState("failed", scrub(str(error))))
                return
            self._stop.wait(_ASK_AGAIN_S)

    def _work(self) -> None:
        from grabient_ops.analytics.follower import start_follower

        self._app.refuse_mixing()
        worker = self._app.worker()
        self._stop_working = worker.stop
        if self._stop.is_set():
            return
        start_follower(self._app.settings.home, self._app.settings.store_url)
        self._tell(WorkerState("here"))
        try:
            worker.run(until_done=False)
        except Exception as error:
            # Its workflows are still under way: a second worker in this process would run them too.
            log.debug("the worker ended", exc_info=True)
            self._tell(WorkerState("broken", scrub(str(error))))

    def _tell(self, state: WorkerState) -> None:
        if state != self.state:
            self.state = state
            self._on_change()
