"""The hub: what has changed is read once for all viewers, and gets one version."""

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from grabient_ops.web.live.events import encode_event
from grabient_ops.web.live.lane import Answer, Lane, Readers
from grabient_ops.web.live.panel import Pace, Wanted
from grabient_ops.web.live.topics import Topic
from grabient_ops.web.live.view import View

_EVENTS_KEPT = 256


class Sight(NamedTuple):
    """What panels showed at a version, `<epoch>:<number>`: HTML by panel id."""

    version: str
    html: dict[str, str]


class Hub:
    """Follows the data for all who look at it; used on the event loop only.

    Attributes:
        epoch: name of this life of the hub; versions of another life mean nothing here.
        version: grows by one with every update that changed what somebody may see.
        is_closed: whether the server is about to stop.
        streams: how many pages are followed at the moment.
    """

    def __init__(self, readers: Readers, *, gap_s: float = 0.05, slow_gap_s: float = 2.0) -> None:
        self.epoch = secrets.token_hex(4)
        self.version = 0
        self.is_closed = False
        self.streams = 0
        self._lanes: dict[Pace, Lane] = {
            "quick": Lane(readers, gap_s),
            "slow": Lane(readers, slow_gap_s),
            "heavy": Lane(readers, slow_gap_s),
        }
        self._moved = asyncio.Event()
        self._events: dict[tuple[tuple[View, ...], int], bytes] = {}
        self._refreshes: set[asyncio.Task[None]] = set()

    @property
    def views(self) -> list[View]:
        """What is followed now, or was asked for a moment ago."""
        return [view for lane in self._lanes.values() for view in lane.views.values()]

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes.values():
                tasks.create_task(lane.run(self._publish))

    def touch(self, topics: Iterable[Topic] = ()) -> None:
        """Say that something has changed; without topics, that the store's feed may have grown."""
        topics = list(topics)
        for lane in self._lanes.values():
            lane.touch(topics)

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
        for pace, lane, mine in self._by_lane(wanted):
            for item in mine:
                lane.views.setdefault(item, View(item)).seen_at = now
            refresh = asyncio.create_task(lane.refresh(self._publish, mine))
            self._refreshes.add(refresh)
            refresh.add_done_callback(self._refreshes.discard)
            await asyncio.wait({refresh}, timeout=None if pace == "quick" else patience_s)
        views = [self._lanes[item.panel.pace].views[item] for item in wanted]
        html = {view.wanted.panel.id: view.pieces.html for view in views}
        return Sight(f"{self.epoch}:{self.version}", html)

    @contextmanager
    def following(self, wanted: Sequence[Wanted]) -> Iterator[list[View]]:
        """Keep panels up to date during the block."""
        views = []
        for _, lane, mine in self._by_lane(wanted):
            views += [lane.views.setdefault(item, View(item)) for item in mine]
        for view in views:
            view.viewers += 1
        self.streams += 1
        try:
            yield views
        finally:
            self.streams -= 1
            for view in views:
                view.viewers -= 1
                view.seen_at = asyncio.get_running_loop().time()

    def event(self, views: Sequence[View], version: int) -> bytes:
        """Return as an event what somebody lacks who has seen a version; empty without anything.

        Viewers who are in step share one.
        """
        key = (tuple(views), version)
        if key not in self._events:
            html = "".join(part for view in views for part in view.news(version))
            if len(self._events) >= _EVENTS_KEPT:
                self._events.clear()
            self._events[key] = encode_event(self.epoch, self.version, html) if html else b""
        return self._events[key]

    async def until_moved(self, version: int, timeout_s: float) -> bool:
        """Wait until the version is another one or the hub closes; False when the time is up."""
        moved = self._moved
        if self.version != version or self.is_closed:
            return True
        try:
            async with asyncio.timeout(timeout_s):  # wait_for of 3.11 may lose a cancellation
                await moved.wait()
        except TimeoutError:
            return False
        return True

    def _publish(self, answers: Sequence[Answer]) -> None:
        """Take over what was read in one snapshot, under one version."""
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

    def _by_lane(self, wanted: Sequence[Wanted]) -> Iterator[tuple[Pace, Lane, list[Wanted]]]:
        for pace, lane in self._lanes.items():
            mine = [item for item in wanted if item.panel.pace == pace]
            if mine:
                yield pace, lane, mine
