import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from grabient_ops.pipeline.services import News, Services, Wakes
from grabient_ops.pipeline.waiting import Waiter
from grabient_ops.providers.base import BatchRunning
from grabient_ops.store.batches import Batch
from grabient_ops.store.nudges import nudge

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab


def _patient(lab: "Lab") -> Services:
    """The lab's parts, with an hour between two polls."""
    return replace(lab.services, policy=replace(lab.policy, poll_s=3600.0))


def _wait(lab: "Lab", services: Services, batch: Batch) -> float:
    """Wait for the end of a batch; return how long that took."""
    started = time.monotonic()
    assert lab.run(Waiter(services).wait(batch.id))["how"] == "completed"
    return time.monotonic() - started


def test_a_nudge_has_the_provider_asked_at_once(lab: "Lab") -> None:
    batch, services = lab.submitted(), _patient(lab)
    lab.openai.states.append(BatchRunning())
    lab.openai.on_call = lambda _: services.wakes.tell(batch.id, "nudged")

    assert _wait(lab, services, batch) < 60
    assert lab.openai.calls == ["poll", "poll"]


def _heard(*news: News) -> list[News | None]:
    """Return what two waits hear of what was said before them."""

    async def scenario() -> list[News | None]:
        wakes = Wakes()
        wakes.tell("batch", "nudged")
        with wakes.watching("batch") as watch:
            for one in news:
                wakes.tell("batch", one)
            wakes.tell("another", "nudged")
            return [await watch.wait(0.01), await watch.wait(0.01)]

    return asyncio.run(scenario())


def test_news_that_come_before_the_wait_count_for_it_once() -> None:
    assert _heard("changed") == ["changed", None]
    assert _heard("nudged") == ["nudged", None]


def test_a_nudge_is_not_lost_among_changes() -> None:
    assert _heard("changed", "nudged", "changed") == ["nudged", None]


def test_who_does_not_watch_yet_hears_nothing() -> None:
    assert _heard() == [None, None]


def test_a_changed_row_ends_no_wait_for_the_next_poll(lab: "Lab") -> None:
    batch, services = lab.submitted(), _patient(lab)
    lab.openai.states.append(BatchRunning())

    async def scenario() -> None:
        waiting = asyncio.create_task(Waiter(services).wait(batch.id))
        await asyncio.sleep(0.1)
        services.wakes.tell(batch.id, "changed")
        await asyncio.sleep(0.1)
        waiting.cancel()

    lab.run(scenario())
    assert lab.openai.calls == ["poll"]


def test_only_the_batch_that_the_provider_names_is_announced(lab: "Lab") -> None:
    batch = lab.submitted()
    names = [batch.provider_batch_id or ""]

    with lab.store.write() as connection:
        assert nudge(connection, "openai", names, lab.clock()) == batch.id
        assert nudge(connection, "groq", names, lab.clock()) is None
        assert nudge(connection, "openai", ["another"], lab.clock()) is None

    assert lab.announced("nudges") == [batch.id]
