"""Waits for the end of a batch without filling the journal: the polls leave no trace in it."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, assert_never

import structlog

from grabient_ops.errors import NotFoundError, ProviderError
from grabient_ops.pipeline.services import Services, Watch
from grabient_ops.providers.base import (
    BatchEnded,
    BatchRejected,
    BatchRunning,
    BatchState,
    ResultFile,
)
from grabient_ops.store.batches import Batch

log = structlog.get_logger(__name__)
_GROWTH = 0.5
_LONGEST = 20
_POLLS_AT_ONCE = 16
"""Of one provider: after a start every batch is polled, each poll in a thread of its own."""
_RESULTLESS_FOR = 120
"""For how many first waits a batch may have ended without saying where its results are: half an
hour by default. Results were seen to come late, and some never come."""
_CANCELING_FOR = 120
"""For how many first waits a cancel is given time, however old the batch is: after a long sleep, or
on a clock that was set forth, what has been paid for may still come."""
_NOT_CANCELED = "cancel: "
_UNKNOWN_FOR_S = 1800.0
"""How long a provider may not know an id that it has given us (read-after-write lag)."""

End = dict[str, Any]
"""How a batch ended, as the journal keeps it: `how`, `files`, `message`, `queue_full`."""


class Waiter:
    """Polls batches until the provider says that they have ended."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._turns = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(_POLLS_AT_ONCE))
        self._unknown_since: dict[str, float] = {}
        self._resultless_since: dict[str, float] = {}
        self._canceling_since: dict[str, float] = {}

    async def wait(self, batch_id: str) -> End:
        """Return the end of a batch; asks the provider to cancel when the operator wants that."""
        with self._services.wakes.watching(batch_id) as watch:
            # Read once: what others change from here on, the watch hears of.
            return await self._wait(self._services.batch(batch_id), watch)

    async def _wait(self, batch: Batch, watch: Watch) -> End:
        elapsed = self._services.elapsed
        since = elapsed() - max(0.0, self._age_s(batch))
        is_heeded = True
        while True:
            batch = await self._heed_cancel(batch, is_heeded=is_heeded)
            batch, state = await self._poll(batch)
            if end := self._end_of(batch, state):
                return end
            if isinstance(state, BatchRunning):
                batch = self._show(batch, state)
                is_heeded = state.canceling or state.resultless
            pause_s = self._interval_s(elapsed() - since) * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            batch, is_nudged = await self._pause(batch, watch, pause_s)
            if is_nudged:
                since = elapsed()

    def _end_of(self, batch: Batch, state: BatchState | None) -> End | None:
        """Return how a batch has ended, also when we give it up; None while it is waited for."""
        match state:
            case BatchEnded():
                return _end(self._judge(batch, state), state.message, state.files)
            case BatchRejected():
                return _end("rejected", state.reason, queue_full=state.queue_full)
            case BatchRunning(resultless=True) if self._has_no_results(batch):
                return _end("completed", "it has ended without results")
            case BatchRunning(resultless=False) if self._is_beyond_help(batch):
                return _end("failed", "the provider neither finishes nor cancels it")
            case BatchRunning() | None:
                return None
            case _:
                assert_never(state)

    def _has_no_results(self, batch: Batch) -> bool:
        now_s = self._services.elapsed()
        since_s = self._resultless_since.setdefault(batch.id, now_s)
        return now_s - since_s > self._services.policy.poll_s * _RESULTLESS_FOR

    def _is_beyond_help(self, batch: Batch) -> bool:
        """Whether a cancel that was accepted has had no effect for long enough."""
        if batch.state != "canceling":
            return False
        now_s, policy = self._services.elapsed(), self._services.policy
        since_s = self._canceling_since.setdefault(batch.id, now_s)
        had_time = now_s - since_s > policy.poll_s * _CANCELING_FOR
        return had_time and self._age_s(batch) > 2 * policy.stall_s

    def _interval_s(self, waited_s: float) -> float:
        """Return the wait after a poll; it grows by half each time, and a restart changes nothing.

        Were it counted in polls, a restart would ask for all batches in flight as often as for new
        ones.
        """
        poll_s = self._services.policy.poll_s
        return min(poll_s + waited_s * _GROWTH, poll_s * _LONGEST)

    async def _poll(self, batch: Batch) -> tuple[Batch, BatchState | None]:
        """Ask once; None when the answer did not come, which is no reason to give up."""
        provider_batch_id = batch.provider_batch_id or ""
        try:
            async with self._turns[batch.provider]:
                state = await asyncio.to_thread(
                    self._services.provider_of(batch).poll, provider_batch_id
                )
        except NotFoundError as error:
            now_s = self._services.elapsed()
            if now_s - self._unknown_since.setdefault(batch.id, now_s) > _UNKNOWN_FOR_S:
                return batch, BatchEnded(
                    "failed", message=f"the provider does not know it: {error}"
                )
            return self._change(batch, error=str(error)), None
        except ProviderError as error:
            log.warning("poll failed", batch=batch.id, error=str(error))
            return self._change(batch, error=str(error)), None
        self._unknown_since.pop(batch.id, None)
        return batch, state

    async def _heed_cancel(self, batch: Batch, *, is_heeded: bool) -> Batch:
        """Pass a cancel on to the provider: the operator's, or ours when the batch is stuck.

        One that was accepted is repeated before each poll, unless the poll before showed its effect
        (`is_heeded`): some are accepted and forgotten.
        """
        is_stuck = self._age_s(batch) > self._services.policy.stall_s
        is_new = batch.state == "waiting" and (batch.cancel_requested_at or is_stuck)
        if not is_new and (batch.state != "canceling" or is_heeded):
            return batch
        try:
            await asyncio.to_thread(
                self._services.provider_of(batch).cancel, batch.provider_batch_id or ""
            )
        except ProviderError as problem:
            return self._change(batch, error=f"{_NOT_CANCELED}{problem}")
        if is_new:
            self._canceling_since[batch.id] = self._services.elapsed()
        error = None if _is_not_canceled(batch) else batch.error
        return self._change(batch, state="canceling", error=error)

    def _judge(self, batch: Batch, state: BatchEnded) -> str:
        """A batch that we gave up because it was stuck has expired: nobody asked to cancel it."""
        if state.how == "canceled" and batch.cancel_requested_at is None:
            stalled = batch.state == "canceling"
            return "expired" if stalled else "canceled"
        return state.how

    def _show(self, batch: Batch, state: BatchRunning) -> Batch:
        error = None
        if _is_not_canceled(batch) and not state.canceling:
            error = batch.error
        elif state.unfamiliar:
            error = f"unfamiliar state {state.unfamiliar!r}, waiting on"
        return self._change(
            batch, error=error, live_completed=state.completed, live_failed=state.failed
        )

    async def _pause(self, batch: Batch, watch: Watch, seconds: float) -> tuple[Batch, bool]:
        """Wait so long; a cancel or a nudge ends the wait at once.

        Returns:
            The batch as it is now, and whether somebody nudged.
        """
        elapsed = self._services.elapsed
        until = elapsed() + seconds
        while (left_s := until - elapsed()) > 0:
            news = await watch.wait(left_s)
            if news is None:
                continue
            before, batch = batch, self._services.batch(batch.id)
            if news == "nudged" or batch.cancel_requested_at != before.cancel_requested_at:
                return batch, news == "nudged"
        return batch, False

    def _age_s(self, batch: Batch) -> float:
        submitted = batch.submitted_at or batch.created_at
        return (self._services.now() - submitted).total_seconds()

    def _change(self, batch: Batch, **values: Any) -> Batch:  # noqa: ANN401 - columns
        """Write what is not so already: a poll that brings no news wakes nobody."""
        changed = batch._replace(**values)
        if changed != batch:
            self._services.update(batch.id, **values)
        return changed


def _end(
    how: str, message: str | None, files: Sequence[ResultFile] = (), *, queue_full: bool = False
) -> End:
    names = [[file.name, file.ref] for file in files]
    return {"how": how, "files": names, "message": message, "queue_full": queue_full}


def _is_not_canceled(batch: Batch) -> bool:
    """Whether what is shown is that a cancel failed; that stays, until one is accepted."""
    return (batch.error or "").startswith(_NOT_CANCELED)
