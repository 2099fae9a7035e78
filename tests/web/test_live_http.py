"""The whole way over a real socket: a commit on another connection, an event at the browser."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Event, Served, Shelf, Viewer

SEED = "a-palette"


def _quiet(viewer: "Viewer", seconds: float = 0.3) -> bool:
    """Whether nothing comes for a while."""
    viewer.wait_at_most(seconds)
    try:
        viewer.next()
    except TimeoutError:
        return True
    return False


def test_a_stream_begins_with_what_the_page_lacks(served: "Served") -> None:
    with served.follow() as viewer:
        event = viewer.next()

    assert event.targets[:2] == ["chrome-worker", "overview-cards"]
    assert event.id.startswith(f"{served.web.hub.epoch}:")


def test_a_page_that_has_just_been_loaded_lacks_nothing(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    page = served.get("/")
    stream = page.partition('hx-sse:connect="')[2].partition('"')[0].replace("&amp;", "&")

    with served.follow(stream) as viewer:
        assert _quiet(viewer)


def test_a_commit_changes_exactly_the_row_that_it_is_about(
    served: "Served", shelf: "Shelf"
) -> None:
    shelf.palettes(SEED)
    first, second = shelf.batch(SEED), shelf.batch("b", state="submitting")
    with served.follow() as viewer:
        viewer.next()
        shelf.update(first, live_completed=1)
        event = viewer.next()

    assert event.targets == [f"workflow-{first}"]
    assert "1 of 1" in event.html
    assert second not in event.html


def test_a_new_row_brings_the_whole_panel(served: "Served", shelf: "Shelf") -> None:
    shelf.batch(SEED)
    with served.follow() as viewer:
        viewer.next()
        shelf.batch("b")
        assert viewer.next().targets == ["card-pending", "overview-workflows"]


def test_a_commit_that_changes_nothing_to_be_seen_sends_nothing(
    served: "Served", shelf: "Shelf"
) -> None:
    batch_id = shelf.batch(SEED)
    with served.follow() as viewer:
        viewer.next()
        shelf.update(batch_id, high_water="not shown anywhere")
        assert _quiet(viewer)


def test_who_comes_back_gets_what_was_missed_and_no_more(served: "Served", shelf: "Shelf") -> None:
    batch_id = shelf.batch(SEED)
    with served.follow() as watching, served.follow() as viewer:
        watching.next()
        seen = viewer.next().id
        viewer.response.close()
        shelf.update(batch_id, live_completed=1)
        watching.next()

        with served.follow(last_event_id=seen) as again:
            assert again.next().targets == [f"workflow-{batch_id}"]


def test_after_a_restart_everything_is_sent_again(
    serve: Callable[..., "Served"], shelf: "Shelf"
) -> None:
    shelf.batch(SEED)
    before = serve()
    with before.follow() as viewer:
        first = viewer.next()
    before.stop()

    with serve().follow(last_event_id=first.id) as viewer:
        assert viewer.next().targets == first.targets


@pytest.mark.parametrize("seen", ["", "nonsense", "::", "0:9999999999", "²:²", "x" * 5000])
def test_nonsense_for_a_last_event_is_nothing_seen(served: "Served", seen: str) -> None:
    with served.follow(f"/live?since={seen.encode().hex() if seen == '²:²' else seen}") as viewer:
        assert "overview-cards" in viewer.next().targets


def test_a_slow_reader_gets_one_merged_update(served: "Served", shelf: "Shelf") -> None:
    batch_id = shelf.batch(SEED)
    with served.follow() as viewer:
        viewer.next()
        for count in range(40):
            shelf.update(batch_id, live_completed=count)
            time.sleep(0.01)
        shelf.update(batch_id, state="canceling")
        events: list[Event] = []
        while "canceling" not in "".join(event.html for event in events):
            events.append(viewer.next())

    assert 1 <= len(events) < 20


def test_a_stream_that_nobody_reads_any_more_is_closed_at_once(
    served: "Served", shelf: "Shelf"
) -> None:
    for _ in range(30):
        with served.follow() as viewer:
            viewer.next()
    deadline = time.monotonic() + 60
    while served.web.hub.streams and time.monotonic() < deadline:
        time.sleep(0.01)

    assert served.web.hub.streams == 0
    assert len(served.web.hub.views) <= 5
    assert {view.viewers for view in served.web.hub.views} <= {0}
    shelf.palettes(SEED)
    assert SEED not in served.get("/")
