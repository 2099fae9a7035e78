"""Submits a batch exactly once: intent first, then create, and never again before looking.

The order is the promise. (1) The requests are reserved. (2) The payload is uploaded. (3) The
moment of the first creation is written down. (4) The batch is created. (5) Its id is written down.
Whoever finds (3) without (5), after a crash or after an answer that never came, looks for the
batch at the provider, and creates only when it has not turned up within `settle_s`. In a store
that comes from a backup, (3) may have been written since, so there everything is looked for.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeVar

import structlog

from grabient_ops.errors import GrabientError, ProviderError
from grabient_ops.pipeline.payload import as_submission, payload_path, write_payload
from grabient_ops.pipeline.retry import MAX_TRIES, delay_s, retrying
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.base import FoundBatch, Provider, Submission
from grabient_ops.store.backup import is_from_before_restore
from grabient_ops.store.batches import (
    Batch,
    count_creating,
    known_provider_ids,
    load_batch,
    update_batch,
)
from grabient_ops.store.locks import lock
from grabient_ops.store.passes import moment_of_sending

log = structlog.get_logger(__name__)
T = TypeVar("T")
_PAUSE_CAP_S = 300.0
_SUBMISSIONS_AT_ONCE = 4


class Submitter:
    """Submits batches of all providers.

    Where a provider echoes nothing of ours (Anthropic), one creation at a time, over all workers:
    with a single unresolved creation, a new batch of the right size can only be that one (or a
    stranger's, which its results disprove).
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._turns: dict[tuple[str, bool], asyncio.Semaphore] = {}
        self._writing = asyncio.Lock()

    async def upload(self, batch_id: str) -> None:
        """Write and upload the payload, unless that has been done; nothing is spent."""
        batch = self._services.batch(batch_id)
        if batch.submit_started_at or batch.input_file_id or batch.cancel_requested_at:
            return
        provider = self._services.provider_of(batch)
        async with self._turn(provider):
            async with self._writing:
                submission, sha256 = await asyncio.to_thread(write_payload, self._services, batch)
            file_id = await self._ask(lambda: provider.upload(submission))
        self._services.update(
            batch_id, input_file_id=file_id, payload_sha256=sha256, state="submitting"
        )

    async def create(self, batch_id: str) -> str | None:
        """Create the batch at the provider, or find the one that was created before.

        Returns:
            The provider's id; None when the batch was cancelled before anything was sent.

        Raises:
            ProviderError: the provider refused; certainly nothing was created.
        """
        batch = self._services.batch(batch_id)
        provider = self._services.provider_of(batch)
        # Whoever has the turn may be waiting for what is in doubt: that has a turn of its own.
        async with self._turn(provider, in_doubt=batch.submit_started_at is not None):
            batch = self._services.batch(batch_id)
            if batch.provider_batch_id:
                return batch.provider_batch_id
            if batch.submit_started_at or self._is_restored(batch):
                found = await self._find(batch, provider)
                if found:
                    return found
            return await self._create(batch_id, provider)

    def _is_restored(self, batch: Batch) -> bool:
        with self._services.store.read() as connection:
            return is_from_before_restore(connection, batch)

    def _turn(self, provider: Provider, *, in_doubt: bool = False) -> asyncio.Semaphore:
        turn = asyncio.Semaphore(_at_once(provider))
        return self._turns.setdefault((provider.name, in_doubt), turn)

    async def _create(self, batch_id: str, provider: Provider) -> str | None:
        for tries in range(1, MAX_TRIES + 1):
            submission = await self._begin(batch_id, provider)
            if submission is None:
                self._services.update(batch_id, submit_started_at=None)  # nothing was created
                return None
            try:
                return await asyncio.to_thread(self._buy, batch_id, provider, submission)
            except ProviderError as error:
                found = await self._after_failure(batch_id, provider, error, tries)
                if found:
                    return found
        raise GrabientError(f"batch {batch_id}: {MAX_TRIES} creations failed without effect")

    def _buy(self, batch_id: str, provider: Provider, submission: Submission) -> str:
        with self._services.creating():
            provider_batch_id = provider.create(submission)
            self._record(batch_id, FoundBatch(provider_batch_id, certain=True))
        return provider_batch_id

    async def _begin(self, batch_id: str, provider: Provider) -> Submission | None:
        """Write the intent; None when somebody cancelled before anything was sent."""
        services = self._services
        batch = services.batch(batch_id)
        if batch.cancel_requested_at:
            return None
        high_water = batch.high_water
        if high_water is None:
            high_water = await self._ask(provider.high_water)
        if batch.input_file_id is None and not payload_path(services, batch_id).exists():
            await asyncio.to_thread(write_payload, services, batch)
        intended = self._intend(batch_id, provider, high_water)
        while intended is False:
            await asyncio.sleep(services.policy.step_s)
            intended = self._intend(batch_id, provider, high_water)
        return None if intended is None else self._submission(intended)

    def _intend(
        self, batch_id: str, provider: Provider, high_water: str | None
    ) -> Batch | Literal[False] | None:
        """Write the intent; None for a cancelled batch, False when it is not our turn."""
        services = self._services
        now = services.now()
        with services.store.write() as connection:
            # What workers on other machines are about to create counts as well; so do we, already,
            # when an earlier creation was in doubt.
            lock(connection, "creations")
            batch = load_batch(connection, batch_id)
            if batch.cancel_requested_at:
                return None
            others = count_creating(connection, provider.name, batch_id)
            if batch.submit_started_at is None and others >= _at_once(provider):
                return False
            sent_at = moment_of_sending(connection, batch.prompt_version, now)
            intent = {"submit_started_at": sent_at, "high_water": high_water, "state": "submitting"}
            update_batch(connection, batch_id, now, **intent)
        return batch._replace(submit_started_at=sent_at, high_water=high_water)

    async def _after_failure(
        self, batch_id: str, provider: Provider, error: ProviderError, tries: int
    ) -> str | None:
        log.warning("creation failed", batch=batch_id, error=str(error), tries=tries)
        if error.outcome_unknown:
            found = await self._find(self._services.batch(batch_id), provider)
            if found:
                return found
        # Now it is certain that nothing was created. The intent stays for the next try: without
        # it others would get between, and what they leave in doubt might wait for our turn.
        if not error.retryable or tries == MAX_TRIES:
            self._services.update(batch_id, submit_started_at=None)
            raise error
        await asyncio.sleep(delay_s(tries, self._services.policy.step_s, error))
        return None

    async def _find(self, batch: Batch, provider: Provider) -> str | None:
        """Look until the batch turns up, or has not done so for `settle_s`.

        A failed listing is never taken for "not there": it is repeated for as long as it takes.
        """
        policy, elapsed = self._services.policy, self._services.elapsed
        # Not from the creation on: a call that timed out has used up that time by itself.
        settled_at = elapsed() + policy.settle_s(provider.name)
        tries = 0
        while True:
            tries += 1
            was_settled = elapsed() >= settled_at
            pause = min(policy.step_s * 2 ** min(tries, 10), _PAUSE_CAP_S)
            try:
                found = await asyncio.to_thread(provider.find, self._submission(batch))
            except ProviderError as error:
                self._services.update(batch.id, error=f"was it created? {error}")
                await asyncio.sleep(pause)
                continue
            adopted = await self._adopt(batch, provider, found)
            if adopted or was_settled:
                return adopted
            await asyncio.sleep(max(0.0, min(settled_at - elapsed(), pause)))

    async def _adopt(
        self, batch: Batch, provider: Provider, found: Sequence[FoundBatch]
    ) -> str | None:
        with self._services.store.read() as connection:
            taken = known_provider_ids(connection, provider.name, [item.id for item in found])
        strangers = taken.union(batch.foreign_ids)
        ours = [item for item in found if item.id not in strangers]
        if not ours:
            return None
        first, *others = sorted(ours, key=lambda item: not item.certain)
        for surplus in (item for item in others if item.certain):
            await self._cancel_surplus(batch, provider, surplus)
        log.warning("adopted", batch=batch.id, provider_batch=first.id, certain=first.certain)
        self._record(batch.id, first)
        return first.id

    async def _cancel_surplus(self, batch: Batch, provider: Provider, surplus: FoundBatch) -> None:
        """Stop paying for a second batch; one that cannot be cancelled must not hold up ours."""
        outcome = "cancelled"
        try:
            await self._ask(partial(provider.cancel, surplus.id))
        except ProviderError as error:
            outcome = f"not cancelled: {error}"
        log.error("surplus batch", batch=batch.id, provider_batch=surplus.id, outcome=outcome)

    def _record(self, batch_id: str, found: FoundBatch) -> None:
        self._services.update(
            batch_id,
            provider_batch_id=found.id,
            is_proven=found.certain,
            submitted_at=self._services.now(),
            state="waiting",
            error=None,
        )

    async def _ask(self, call: Callable[[], T]) -> T:
        """Make a call that spends nothing, repeating it as `retrying` says."""
        async for attempt in retrying(self._services.policy.step_s):
            with attempt:
                return await asyncio.to_thread(call)
        raise AssertionError("tenacity re-raises")

    def _submission(self, batch: Batch) -> Submission:
        model = self._services.model_of(batch)
        return as_submission(batch, model, payload_path(self._services, batch.id))


def _at_once(provider: Provider) -> int:
    return _SUBMISSIONS_AT_ONCE if provider.echoes_key else 1
