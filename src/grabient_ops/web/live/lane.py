"""The views of one pace, read together: in a thread, in one snapshot, one update at a time."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import structlog

from grabient_ops.errors import InputError
from grabient_ops.store.changes import Mark, news
from grabient_ops.web.live.memo import Memo
from grabient_ops.web.live.panel import Wanted
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import Topic
from grabient_ops.web.live.view import Pieces, View

log = structlog.get_logger(__name__)

_LINGER_S = 5.0
_REST_OF_COST = 3.0
_LONGEST_REST_S = 10.0


class Readers(NamedTuple):
    """How panels are read and shown.

    Attributes:
        open: begins a look at the present, with figures that still hold.
        show: reads a panel and fills its template.
        show_failure: shows that, and why, a panel could not be read.
    """

    open: Callable[[Memo], AbstractContextManager[Reading]]
    show: Callable[[Wanted, Reading], Pieces]
    show_failure: Callable[[Wanted, Exception], Pieces]


class Answer(NamedTuple):
    """What a view has to show now."""

    view: View
    pieces: Pieces
    failed: bool


class Lane:
    """The views of one pace.

    Attributes:
        views: what is followed, or was asked for a moment ago.
    """

    def __init__(self, readers: Readers, gap_s: float) -> None:
        self.views: dict[Wanted, View] = {}
        self._readers = readers
        self._gap_s = gap_s
        self._mark: Mark | None = None
        self._memo = Memo()
        self._cost_s = 0.0
        self._touched: set[Topic] = set()
        self._woken = asyncio.Event()
        self._reading = asyncio.Lock()

    def touch(self, topics: Iterable[Topic]) -> None:
        """Say that something has changed."""
        self._touched.update(topics)
        self._woken.set()

    async def run(self, publish: Callable[[Sequence[Answer]], None]) -> None:
        """Read what changes, at once and then at the pace of the lane, until cancelled."""
        while True:
            await self._woken.wait()
            await self.refresh(publish)
            # A store of millions of rows must not have a core to itself.
            rest_s = min(self._cost_s * _REST_OF_COST, _LONGEST_REST_S)
            await asyncio.sleep(max(self._gap_s, rest_s))

    async def refresh(
        self, publish: Callable[[Sequence[Answer]], None], asked: Sequence[Wanted] = ()
    ) -> None:
        """Read in one snapshot what has changed since the last time, and what is new here.

        Args:
            publish: called with what was read, on the event loop.
            asked: what somebody waits for.
        """
        async with self._reading:
            self._woken.clear()
            now = asyncio.get_running_loop().time()
            self._forget_idle(now, asked)
            if not self.views:
                return
            touched, self._touched = self._touched, set()
            views = list(self.views.values())
            answers = await asyncio.to_thread(self._read, views, touched, now)
            publish(answers)
            self._retry_in_time(answers)

    def _retry_in_time(self, answers: Sequence[Answer]) -> None:
        for view, _, _ in answers:
            if view.retry_at is not None:
                asyncio.get_running_loop().call_at(view.retry_at, self._woken.set)

    def _forget_idle(self, now: float, asked: Sequence[Wanted]) -> None:
        """Forget views that nobody has followed for a while."""
        for item, view in list(self.views.items()):
            if not view.viewers and item not in asked and now - view.seen_at > _LINGER_S:
                del self.views[item]

    def _read(self, views: Sequence[View], touched: set[Topic], now: float) -> list[Answer]:
        """Read in a thread what is due, and note what that costs the processor."""
        begun_s = time.thread_time()
        try:
            with self._readers.open(self._memo) as reading:
                topics, self._mark = news(reading.connection, self._mark)
                self._memo.forget(topics | touched)
                due = [view for view in views if view.is_due(topics | touched, now)]
                return [self._answer(view, reading) for view in due]
        except Exception as error:
            log.warning("nothing can be read", exc_info=error)
            # What was announced meanwhile may have been lost.
            self._mark, self._memo = None, Memo()
            return [self._failed(view, error) for view in views]
        finally:
            self._cost_s = time.thread_time() - begun_s

    def _answer(self, view: View, reading: Reading) -> Answer:
        try:
            with reading.guarded():
                return Answer(view, self._readers.show(view.wanted, reading), failed=False)
        except InputError as error:
            # The address asks for what is not there: nothing is broken that a traceback would show.
            log.info("a panel has no answer", panel=view.wanted.panel.id, reason=str(error))
            return self._failed(view, error)
        except Exception as error:
            log.warning("a panel failed", panel=view.wanted.panel.id, exc_info=error)
            return self._failed(view, error)

    def _failed(self, view: View, error: Exception) -> Answer:
        return Answer(view, self._readers.show_failure(view.wanted, error), failed=True)
