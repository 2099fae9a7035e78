"""What the hub promises, each promise with panels made for it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.postgres import locked_out
from grabient_ops.app import App
from grabient_ops.store.palettes import count_palettes
from grabient_ops.web.app import NO_WORKER
from grabient_ops.web.live.hub import Hub
from grabient_ops.web.live.lane import Readers
from grabient_ops.web.live.panel import Pace, Panel, Wanted
from grabient_ops.web.live.reading import Reading, ReadingRoom
from grabient_ops.web.live.stream import follow
from grabient_ops.web.live.topics import Topic
from grabient_ops.web.live.view import Pieces

if TYPE_CHECKING:
    from tests.web.conftest import Shelf

Read = Callable[[Reading], str]


class Lab:
    """A hub over the home's store, whose panels are plain functions."""

    def __init__(self, app: App, *, slow_gap_s: float = 0.05) -> None:
        room = ReadingRoom(app, lambda: NO_WORKER)
        self.hub = Hub(
            Readers(room.open, self._show, self._show_failure), gap_s=0.05, slow_gap_s=slow_gap_s
        )
        self.reads: list[str] = []
        self._answers: dict[str, Read] = {}

    def panel(
        self, name: str, read: Read, topic: Topic = "palettes", pace: Pace = "quick"
    ) -> Wanted:
        """Make a panel of a function."""
        self._answers[name] = read
        panel: Panel[None] = Panel(name, frozenset({topic}), "", lambda *_: {}, pace)
        return Wanted(panel, None)

    def _show(self, wanted: Wanted, reading: Reading) -> Pieces:
        self.reads.append(wanted.panel.id)
        return Pieces((self._answers[wanted.panel.id](reading),), {})

    def _show_failure(self, _wanted: Wanted, error: Exception) -> Pieces:
        return Pieces((f"failed: {error}",), {})

    async def shown(self, *wanted: Wanted) -> dict[str, str]:
        return (await self.hub.look(wanted)).html


@pytest.fixture
def lab(app: App) -> Lab:
    return Lab(app)


def run(lab: Lab, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test beside the hub, within ten seconds."""

    async def both() -> None:
        running = asyncio.create_task(lab.hub.run())
        try:
            async with asyncio.timeout(10):
                await test()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(both())


def _count(reading: Reading) -> str:
    return f"{count_palettes(reading.connection)} palettes"


async def _everybody() -> bool:
    return True


async def _first(events: Any) -> str:  # noqa: ANN401 - an async generator
    text: str = (await anext(events)).decode()
    return text


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - it becomes so in a thread
        await asyncio.sleep(0.01)


def test_all_panels_of_an_update_come_from_one_snapshot(lab: Lab, shelf: "Shelf") -> None:
    def disturbed(reading: Reading) -> str:
        before = _count(reading)
        shelf.palettes(f"seed-{len(lab.reads)}")
        return before

    first, second = lab.panel("first", disturbed), lab.panel("second", _count)

    async def test() -> None:
        assert await lab.shown(first, second) == {"first": "0 palettes", "second": "0 palettes"}
        assert await lab.shown(first, second) == {"first": "1 palettes", "second": "1 palettes"}

    run(lab, test)


def test_equal_html_is_no_news(lab: Lab, shelf: "Shelf") -> None:
    panel = lab.panel("constant", lambda _: "always the same")

    async def test() -> None:
        with lab.hub.following([panel]) as views:
            await lab.shown(panel)
            version = lab.hub.version
            shelf.palettes("a")
            lab.hub.touch()
            await _until(lambda: len(lab.reads) == 2)
            assert not await lab.hub.until_moved(version, 0.1)
            assert lab.hub.event(views, version) == b""

    run(lab, test)


def test_only_panels_of_touched_topics_are_read(lab: Lab, shelf: "Shelf") -> None:
    panel, other = lab.panel("panel", _count), lab.panel("other", _count, topic="batches")

    async def test() -> None:
        await lab.shown(panel, other)
        shelf.palettes("a")
        await lab.shown(panel, other)
        assert lab.reads == ["panel", "other", "panel"]

    run(lab, test)


def test_what_is_not_in_the_store_is_read_when_it_is_touched(lab: Lab) -> None:
    panel = lab.panel("worker", lambda _: str(len(lab.reads)), topic="worker")

    async def test() -> None:
        with lab.hub.following([panel]):
            await lab.shown(panel)
            lab.hub.touch(["worker"])
            await _until(lambda: len(lab.reads) == 2)

    run(lab, test)


def test_two_viewers_of_one_panel_share_one_reading_and_one_event(lab: Lab) -> None:
    panel = lab.panel("shared", _count)

    async def test() -> None:
        streams = [follow(lab.hub, [panel], "", _everybody) for _ in range(20)]
        events = await asyncio.gather(*map(_first, streams))
        assert lab.reads == ["shared"]
        assert len(set(events)) == 1
        assert len(lab.hub.views) == 1
        await asyncio.gather(*(stream.aclose() for stream in streams))

    run(lab, test)


def test_a_failing_panel_fails_alone_and_recovers_by_itself(lab: Lab) -> None:
    trouble = [True]

    def fragile(_reading: Reading) -> str:
        if trouble:
            raise LookupError("no such thing")
        return "well again"

    panel, other = lab.panel("fragile", fragile), lab.panel("other", _count)

    async def test() -> None:
        with lab.hub.following([panel, other]) as views:
            shown = await lab.shown(panel, other)
            assert shown == {"fragile": "failed: no such thing", "other": "0 palettes"}
            trouble.clear()
            version = lab.hub.version
            assert await lab.hub.until_moved(version, 3)
            event = lab.hub.event(views, version).decode()
            assert "well again" in event
            assert "0 palettes" not in event

    run(lab, test)


@contextmanager
def unreadable(app: App) -> Iterator[None]:
    """Have the file damaged, or the server let nobody in."""
    app.store.close()
    if app.settings.is_postgres:
        with locked_out(app.settings.home):
            yield
        return
    file = app.settings.home / "store.sqlite"
    kept = file.read_bytes()
    file.write_bytes(b"this is no database, whatever it is called" * 100)
    yield
    file.write_bytes(kept)


def test_a_store_that_cannot_be_read_is_said_in_every_panel(lab: Lab, app: App) -> None:
    panel = lab.panel("panel", _count)

    async def test() -> None:
        assert await lab.shown(panel) == {"panel": "0 palettes"}
        with unreadable(app):
            shown = await lab.shown(panel)
            assert shown["panel"].startswith("failed: ")
        assert await lab.shown(panel) == {"panel": "0 palettes"}

    run(lab, test)


def test_a_burst_of_commits_is_few_readings_and_ends_with_the_newest(
    lab: Lab, shelf: "Shelf"
) -> None:
    panel = lab.panel("panel", _count)

    async def test() -> None:
        with lab.hub.following([panel]) as views:
            await lab.shown(panel)
            for number in range(60):
                await asyncio.to_thread(shelf.palettes, f"seed-{number}")
                lab.hub.touch()
            await _until(lambda: "60 palettes" in views[0].pieces.html)
            assert len(lab.reads) < 50

    run(lab, test)


def test_a_slow_panel_holds_up_neither_the_page_nor_the_quick_ones(lab: Lab) -> None:
    async def test() -> None:
        loop, go_on = asyncio.get_running_loop(), asyncio.Event()

        def slow(_reading: Reading) -> str:
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)
            return "at last"

        wanted = [lab.panel("quick", _count), lab.panel("slow", slow, pace="slow")]
        with lab.hub.following(wanted) as views:
            sight = await lab.hub.look(wanted, patience_s=0.05)
            assert sight.html == {"quick": "0 palettes", "slow": ""}
            version = lab.hub.version
            go_on.set()
            assert await lab.hub.until_moved(version, 3)
            assert b"at last" in lab.hub.event(views, version)

    run(lab, test)


def test_a_thousand_streams_leave_nothing_behind(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grabient_ops.web.live.lane._LINGER_S", 0.0)
    panels = [lab.panel(f"panel-{number}", _count) for number in range(10)]

    async def test() -> None:
        for number in range(1000):
            stream = follow(lab.hub, [panels[number % 10]], "", _everybody)
            await _first(stream)
            await stream.aclose()
        await asyncio.sleep(0.01)
        await lab.shown(panels[0])
        assert [view.wanted for view in lab.hub.views] == [panels[0]]
        assert lab.hub.streams == 0

    run(lab, test)


def test_a_stream_ends_when_the_hub_closes(lab: Lab) -> None:
    panel = lab.panel("panel", _count)

    async def test() -> None:
        stream = follow(lab.hub, [panel], "", _everybody)
        await _first(stream)
        asyncio.get_running_loop().call_later(0.05, lab.hub.close)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(lab, test)


def test_a_stream_ends_when_its_reader_is_no_longer_welcome(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.web.live.stream.PING_S", 0.02)
    panel = lab.panel("panel", _count)
    answers = [True, False]

    async def is_welcome() -> bool:
        return answers.pop(0)

    async def test() -> None:
        stream = follow(lab.hub, [panel], "", is_welcome)
        events = [event async for event in stream]
        assert len(events) == 2
        assert events[1].startswith(b":")

    run(lab, test)
