import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from grabient_ops.pipeline.services import Services, Wakes
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
    lab.openai.on_call = lambda _: services.wakes.nudge(batch.id)

    assert _wait(lab, services, batch) < 60
    assert lab.openai.calls == ["poll", "poll"]


def test_a_nudge_that_comes_too_early_counts_for_the_next_wait() -> None:
    async def scenario() -> list[bool]:
        wakes = Wakes()
        wakes.nudge("batch")
        early = await wakes.wait("batch", 10, unless=lambda: False)
        return [early, await wakes.wait("batch", 0.01, unless=lambda: False)]

    assert asyncio.run(scenario()) == [True, False]


def test_a_changed_row_ends_no_wait_for_the_next_poll() -> None:
    async def scenario() -> bool:
        wakes = Wakes()
        asyncio.get_running_loop().call_later(0.01, wakes.wake, "batch")
        return await wakes.wait("batch", 10, unless=lambda: False)

    assert asyncio.run(scenario()) is False


def test_only_the_batch_that_the_provider_names_is_announced(lab: "Lab") -> None:
    batch = lab.submitted()
    names = [batch.provider_batch_id or ""]

    with lab.store.write() as connection:
        assert nudge(connection, "openai", names, lab.clock()) == batch.id
        assert nudge(connection, "groq", names, lab.clock()) is None
        assert nudge(connection, "openai", ["another"], lab.clock()) is None

    assert lab.announced("nudges") == [batch.id]
