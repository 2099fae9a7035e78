"""Waits for the end of a batch without filling the journal: the polls leave no trace in it."""

import asyncio
import random
from typing import Any, assert_never

import structlog

from grabient_ops.errors import NotFoundError, ProviderError
from grabient_ops.pipeline.services import Services, elapsed_s
from grabient_ops.providers.base import (
    BatchEnded,
    BatchRejected,
    BatchRunning,
    BatchState,
)
from grabient_ops.store.batches import Batch

log = structlog.get_logger(__name__)
_GROWTH = 1.5
_LONGEST = 20
_UNKNOWN_FOR_S = 1800.0
"""How long a provider may not know an id that it has given us (read-after-write lag)."""

End = dict[str, Any]
"""How a batch ended, as the journal keeps it: `how`, `files`, `message`, `queue_full`."""


class Waiter:
    """Polls batches until the provider says that they have ended."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def wait(self, batch_id: str) -> End:
        """Return the end of a batch; asks the provider to cancel when the operator wants that."""
        policy = self._services.policy
        interval_s = policy.poll_s
        while True:
            batch = await self._heed_cancel(self._services.batch(batch_id))
            state = await self._poll(batch)
            match state:
                case BatchEnded():
                    files = [[file.name, file.ref] for file in state.files]
                    return {"how": self._judge(batch, state), "files": files,
                            "message": state.message, "queue_full": False}  # fmt: skip
                case BatchRejected():
                    return {"how": "rejected", "files": [], "message": state.reason,
                            "queue_full": state.queue_full}  # fmt: skip
                case BatchRunning() | None:
                    self._show(batch, state)
                case _:
                    assert_never(state)
            pause_s = interval_s * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            is_nudged = await self._pause(batch, pause_s)
            longer_s = min(interval_s * _GROWTH, policy.poll_s * _LONGEST)
            interval_s = policy.poll_s if is_nudged else longer_s

    async def _poll(self, batch: Batch) -> BatchState | None:
        """Ask once; None when the answer did not come, which is no reason to give up."""
        provider_batch_id = batch.provider_batch_id or ""
        try:
            return await asyncio.to_thread(
                self._services.provider_of(batch).poll, provider_batch_id
            )
        except NotFoundError as error:
            if self._age_s(batch) > _UNKNOWN_FOR_S:
                return BatchEnded("failed", message=f"the provider does not know it: {error}")
            self._note(batch, str(error))
        except ProviderError as error:
            log.warning("poll failed", batch=batch.id, error=str(error))
            self._note(batch, str(error))
        return None

    async def _heed_cancel(self, batch: Batch) -> Batch:
        """Pass a cancel on to the provider: the operator's, or ours when the batch is stuck."""
        is_stuck = self._age_s(batch) > self._services.policy.stall_s
        if batch.state != "waiting" or not (batch.cancel_requested_at or is_stuck):
            return batch
        try:
            await asyncio.to_thread(
                self._services.provider_of(batch).cancel, batch.provider_batch_id or ""
            )
        except ProviderError as error:
            self._note(batch, f"cancel: {error}")
            return batch
        self._services.update(batch.id, state="canceling")
        return batch._replace(state="canceling")

    def _judge(self, batch: Batch, state: BatchEnded) -> str:
        """A batch that we gave up because it was stuck has expired: nobody asked to cancel it."""
        if state.how == "canceled" and batch.cancel_requested_at is None:
            stalled = batch.state == "canceling"
            return "expired" if stalled else "canceled"
        return state.how

    def _show(self, batch: Batch, state: BatchRunning | None) -> None:
        if state is None:
            return
        if state.unfamiliar:
            self._note(batch, f"unfamiliar state {state.unfamiliar!r}, waiting on")
        elif batch.error:
            self._services.update(batch.id, error=None)
        if (state.completed, state.failed) != (batch.live_completed, batch.live_failed):
            self._services.update(
                batch.id, live_completed=state.completed, live_failed=state.failed
            )

    async def _pause(self, batch: Batch, seconds: float) -> bool:
        """Wait so long; a cancel or a nudge ends the wait at once. Return whether one nudged."""

        def has_new_cancel() -> bool:
            asked_at = self._services.batch(batch.id).cancel_requested_at
            return asked_at != batch.cancel_requested_at

        until = elapsed_s() + seconds
        while (left_s := until - elapsed_s()) > 0:
            if await self._services.wakes.wait(batch.id, left_s, unless=has_new_cancel):
                return True
            if has_new_cancel():
                break
        return False

    def _age_s(self, batch: Batch) -> float:
        submitted = batch.submitted_at or batch.created_at
        return (self._services.now() - submitted).total_seconds()

    def _note(self, batch: Batch, text: str) -> None:
        if batch.error != text:
            self._services.update(batch.id, error=text)
