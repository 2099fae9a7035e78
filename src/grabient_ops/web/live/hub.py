"""The hub: reads what has changed once for all viewers, in one snapshot, under one version."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import structlog

from grabient_ops.errors import StoreError
from grabient_ops.store.changes import Mark, news
from grabient_ops.web.live.events import encode_event
from grabient_ops.web.live.panel import Pace, Topic, Wanted
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.view import Pieces, View

log = structlog.get_logger(__name__)

_LINGER_S = 5.0
_REST_OF_COST = 3.0
_LONGEST_REST_S = 10.0

Render = Callable[[Wanted, Reading], Pieces]
"""Reads a panel and fills its template."""
RenderError = Callable[[Wanted, Exception], Pieces]
"""Shows that, and why, a panel could not be read."""


class Sight(NamedTuple):
    """What panels showed at one version: HTML by panel id."""

    version: str
    html: dict[str, str]


class _Answer(NamedTuple):
    view: View
    pieces: Pieces
    failed: bool


class Lane:
    """The views of one pace; they are read together, by one at a time."""

    def __init__(self, gap_s: float) -> None:
        self.gap_s = gap_s
        self.views: dict[Wanted, View] = {}
        self.touched: set[Topic] = set()
        self.mark: Mark | None = None
        self.lock = asyncio.Lock()
        self.woken = asyncio.Event()

    def until_retry_s(self, now: float) -> float | None:
        """Return how long the next failed view waits; None when there is none."""
        times = [view.retry_at for view in self.views.values() if view.retry_at is not None]
        return max(min(times) - now, 0) if times else None


class Hub:
    """Follows the data for all who look at it.

    Everything here happens on the event loop, but for the reading, which has a thread.

    Attributes:
        epoch: name of this life of the hub; versions of another life mean nothing here.
        version: grows by one with every update that changed what somebody sees.
    """

    def __init__(
        self,
        open_reading: Callable[[], AbstractContextManager[Reading]],
        render: Render,
        render_error: RenderError,
        *,
        gap_s: float = 0.05,
        slow_gap_s: float = 2.0,
    ) -> None:
        self.epoch = secrets.token_hex(4)
        self.version = 0
        self.is_closed = False
        self._open_reading = open_reading
        self._render = render
        self._render_error = render_error
        self._lanes: dict[Pace, Lane] = {"quick": Lane(gap_s), "slow": Lane(slow_gap_s)}
        self._moved = asyncio.Event()
        self._events: dict[tuple[tuple[View, ...], int], bytes] = {}
        self._late: set[asyncio.Task[None]] = set()

    @property
    def view_count(self) -> int:
        """How many views are kept."""
        return sum(len(lane.views) for lane in self._lanes.values())

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes.values():
                tasks.create_task(self._follow(lane))

    def touch(self, topics: Iterable[Topic] = ()) -> None:
        """Say that something has changed; without topics, that the store's feed may have grown."""
        for lane in self._lanes.values():
            lane.touched.update(topics)
            lane.woken.set()

    def close(self) -> None:
        """Let all streams end; a server that is asked to stop waits for them."""
        self.is_closed = True
        self._announce()

    async def look(self, wanted: Sequence[Wanted], *, patience_s: float | None = None) -> Sight:
        """Bring panels up to date and return what they show.

        Args:
            wanted: the panels.
            patience_s: how long to wait for slow ones; they come later then, and "" till then.
        """
        now = asyncio.get_running_loop().time()
        for lane, mine in self._by_lane(wanted):
            for item in mine:
                lane.views.setdefault(item, View(item)).seen_at = now
            refresh = asyncio.create_task(self._refresh(lane, asked=mine))
            self._late.add(refresh)
            refresh.add_done_callback(self._late.discard)
            is_quick = lane is self._lanes["quick"]
            await asyncio.wait({refresh}, timeout=None if is_quick else patience_s)
        views = [self._view(item) for item in wanted]
        html = {view.wanted.panel.id: view.pieces.html for view in views}
        return Sight(f"{self.epoch}:{self.version}", html)

    @contextmanager
    def following(self, wanted: Sequence[Wanted]) -> Iterator[list[View]]:
        """Keep panels up to date during the block."""
        views = []
        for lane, mine in self._by_lane(wanted):
            views += [lane.views.setdefault(item, View(item)) for item in mine]
        for view in views:
            view.viewers += 1
        try:
            yield views
        finally:
            for view in views:
                view.viewers -= 1
                view.seen_at = asyncio.get_running_loop().time()

    def event(self, views: Sequence[View], version: int) -> bytes:
        """Return all fragments that somebody lacks who has seen a version; empty without any.

        Viewers who are in step share one event.
        """
        key = (tuple(views), version)
        if key not in self._events:
            html = "".join(part for view in views for part in view.news(version))
            self._events[key] = encode_event(self.epoch, self.version, html) if html else b""
        return self._events[key]

    async def until_moved(self, version: int, timeout_s: float) -> bool:
        """Wait until the version is another one or the hub closes; False when the time is up."""
        moved = self._moved
        if self.version != version or self.is_closed:
            return True
        try:
            await asyncio.wait_for(moved.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def _follow(self, lane: Lane) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await asyncio.wait_for(lane.woken.wait(), lane.until_retry_s(loop.time()))
            except TimeoutError:
                log.debug("reading failed panels again")
            started = loop.time()
            await self._refresh(lane)
            cost = loop.time() - started
            # A store of millions of rows must not have a core to itself.
            await asyncio.sleep(max(lane.gap_s, min(cost * _REST_OF_COST, _LONGEST_REST_S)))

    async def _refresh(self, lane: Lane, asked: Sequence[Wanted] = ()) -> None:
        """Read in one snapshot what has changed since the last time, and what is new."""
        async with lane.lock:
            lane.woken.clear()
            self._forget_idle(lane, asked)
            if not lane.views:
                return
            touched, lane.touched = lane.touched, set()
            now = asyncio.get_running_loop().time()
            views = list(lane.views.values())
            lane.mark, answers = await asyncio.to_thread(self._read, views, lane.mark, touched, now)
            self._take_over(answers)

    def _forget_idle(self, lane: Lane, asked: Sequence[Wanted]) -> None:
        """Forget views that nobody has followed for a while; what is asked for now stays."""
        now = asyncio.get_running_loop().time()
        for item, view in list(lane.views.items()):
            if not view.viewers and item not in asked and now - view.seen_at > _LINGER_S:
                del lane.views[item]

    def _read(
        self, views: Sequence[View], mark: Mark | None, touched: set[Topic], now: float
    ) -> tuple[Mark | None, list[_Answer]]:
        """Read what is due, in a thread."""
        try:
            with self._open_reading() as reading:
                topics, mark = news(reading.connection, mark)
                due = [view for view in views if view.is_due(topics | touched, now)]
                return mark, [self._answer(view, reading) for view in due]
        except StoreError as error:
            log.warning("the store cannot be read", error=str(error))
            return None, [self._failed(view, error) for view in views]

    def _answer(self, view: View, reading: Reading) -> _Answer:
        try:
            with reading.guarded():
                return _Answer(view, self._render(view.wanted, reading), failed=False)
        except Exception as error:  # noqa: BLE001 - one panel's failure is shown in its place
            log.warning("a panel failed", panel=view.wanted.panel.id, exc_info=error)
            return self._failed(view, error)

    def _failed(self, view: View, error: Exception) -> _Answer:
        return _Answer(view, self._render_error(view.wanted, error), failed=True)

    def _take_over(self, answers: Sequence[_Answer]) -> None:
        version = self.version + 1
        now = asyncio.get_running_loop().time()
        has_news = False
        for view, pieces, failed in answers:
            has_news |= view.show(pieces, version)
            view.note_outcome(now, failed=failed)
        if has_news:
            self.version = version
            self._announce()

    def _announce(self) -> None:
        self._events.clear()
        self._moved.set()
        self._moved = asyncio.Event()

    def _by_lane(self, wanted: Sequence[Wanted]) -> Iterator[tuple[Lane, list[Wanted]]]:
        for pace, lane in self._lanes.items():
            mine = [item for item in wanted if item.panel.pace == pace]
            if mine:
                yield lane, mine

    def _view(self, wanted: Wanted) -> View:
        return self._lanes[wanted.panel.pace].views[wanted]
