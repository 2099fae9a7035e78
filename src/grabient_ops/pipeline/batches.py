"""The workflow of one batch: submit, await the end, collect. Four rows in the journal."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from dbos import DBOS, SetWorkflowID
from dbos._dbos import _get_dbos_instance

from grabient_ops.errors import StoreError
from grabient_ops.pipeline.collection import Collector
from grabient_ops.pipeline.ingest import ForeignBatchError
from grabient_ops.pipeline.recovery import WORKFLOW_NAME
from grabient_ops.pipeline.retry import delay_s
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.submission import Submitter
from grabient_ops.pipeline.waiting import End, Waiter

log = structlog.get_logger(__name__)
T = TypeVar("T")
_PAUSE_CAP_S = 60.0
NEVER_SENT: End = {"how": "canceled", "files": [], "message": None, "queue_full": False}


@dataclass(frozen=True, slots=True)
class _Steps:
    """The same functions, each recorded in the journal when it returns."""

    upload: Callable[[str], Awaitable[None]]
    create: Callable[[str], Awaitable[str | None]]
    await_end: Callable[[str], Awaitable[End]]
    collect: Callable[[str, End], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class BatchWorkflow:
    """The workflow as this process runs it.

    Attributes:
        run: the function that DBOS knows.
        running: ids of the batches whose workflow is under way in this process.
    """

    run: Callable[[str], Coroutine[Any, Any, End]]
    running: set[str]

    def start(self, batch_id: str) -> None:
        """Start the workflow of a batch; the same id is the same workflow, so twice is once.

        On the event loop of DBOS, as recovery does it: `DBOS.start_workflow`, called from a thread,
        keeps another thread until the workflow ends, which would be one for every batch in flight.
        """
        loop = _get_dbos_instance()._background_event_loop  # noqa: SLF001 - a test pins it
        loop.submit_coroutine(self._start(batch_id))

    async def _start(self, batch_id: str) -> None:
        try:
            with SetWorkflowID(f"batch-{batch_id}"):
                await DBOS.start_workflow_async(self.run, batch_id)
        except Exception as error:  # noqa: BLE001 - nobody awaits it; the worker names it again
            log.error("workflow not started", batch=batch_id, error=str(error))  # noqa: TRY400


def register_batch_workflow(services: Services, on_end: Callable[[], None]) -> BatchWorkflow:
    """Register the workflow with DBOS, once per process and before it is launched.

    The workflow takes a batch id and returns how the batch ended; what it does is in the store.

    Args:
        services: the parts.
        on_end: called when one is about to end.
    """
    steps = _register_steps(services)
    running: set[str] = set()

    @DBOS.workflow(name=WORKFLOW_NAME, max_recovery_attempts=1000)
    async def batch(batch_id: str) -> End:
        running.add(batch_id)
        try:
            return await _run(steps, batch_id)
        finally:
            running.discard(batch_id)
            on_end()

    return BatchWorkflow(batch, running)


async def _run(steps: _Steps, batch_id: str) -> End:
    await steps.upload(batch_id)
    while True:
        if await steps.create(batch_id) is None:
            return NEVER_SENT
        end = await steps.await_end(batch_id)
        if await steps.collect(batch_id, end):
            return end


def _register_steps(services: Services) -> _Steps:
    submitter = Submitter(services)
    waiter = Waiter(services)
    collector = Collector(services)

    @DBOS.step(name="upload")
    async def upload(batch_id: str) -> None:
        await _enduring(services, partial(submitter.upload, batch_id))

    @DBOS.step(name="create")
    async def create(batch_id: str) -> str | None:
        return await _enduring(services, partial(submitter.create, batch_id))

    @DBOS.step(name="await_end")
    async def await_end(batch_id: str) -> End:
        return await _enduring(services, partial(waiter.wait, batch_id))

    @DBOS.step(name="collect")
    async def collect(batch_id: str, end: End) -> bool:
        """Return False when the batch was a stranger's: then the search for ours goes on."""

        async def collect_ours() -> bool:
            try:
                await collector.collect(batch_id, end)
            except ForeignBatchError:
                _disown(services, batch_id)
                return False
            return True

        return await _enduring(services, collect_ours)

    return _Steps(upload, create, await_end, collect)


async def _enduring(services: Services, step: Callable[[], Awaitable[T]]) -> T:
    """Begin a step anew when disk or database fail under it: every step survives a crash anyway."""
    tries = 0
    while True:
        try:
            return await step()
        except (StoreError, OSError) as error:
            tries += 1
            log.error("disk or database failed, will try again", error=str(error), tries=tries)  # noqa: TRY400 - one line is enough
            pause = delay_s(tries, services.policy.step_s, error)
            await asyncio.sleep(min(pause, _PAUSE_CAP_S))


def _disown(services: Services, batch_id: str) -> None:
    batch = services.batch(batch_id)
    for path in services.spool_of(batch_id).glob("*.jsonl"):
        if path.stem != "payload":
            path.unlink()
    services.update(
        batch_id,
        provider_batch_id=None,
        submitted_at=None,
        foreign_ids=[*batch.foreign_ids, batch.provider_batch_id],
        state="submitting",
    )
