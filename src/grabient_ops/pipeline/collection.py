"""Collects an ended batch: spools every result file to disk, then has it stored.

Files are written, synced and renamed, so a file that has its name is whole. A provider that is down
or a download that is cut off is shown with the batch and waited out: what was paid for is not
given up.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from grabient_ops.errors import NotFoundError, ProviderError
from grabient_ops.pipeline.ingest import Ingest
from grabient_ops.pipeline.retry import delay_s
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.waiting import End
from grabient_ops.providers.base import ResultFile

log = structlog.get_logger(__name__)
_PAUSE_CAP_S = 300.0
_GONE_AFTER_S = 1800.0
"""A result file may lag behind the end of its batch, but not for so long."""
_AT_ONCE = 2


class Collector:
    """Downloads and stores the results of ended batches."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # Python reads one line at a time anyway; more at once only takes more memory.
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def collect(self, batch_id: str, end: End) -> None:
        """Store every line of every result file; safe to repeat.

        Raises:
            ForeignBatchError: the results show that the batch is not ours; nothing was stored.
            ProviderError: a file cannot be had, now or later.
        """
        self._services.update(batch_id, state="collecting", error=None)
        files = [ResultFile(name, ref) for name, ref in end["files"]]
        paths = [self._services.spool_of(batch_id) / f"{file.name}.jsonl" for file in files]
        for file, path in zip(files, paths, strict=True):
            await self._patiently(batch_id, partial(self._download, batch_id, file, path))
        await self._patiently(batch_id, lambda: Ingest(self._services, batch_id).run(paths))

    def _download(self, batch_id: str, file: ResultFile, target: Path) -> None:
        if target.exists():
            return
        batch = self._services.batch(batch_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        self._services.provider_of(batch).download(batch.provider_batch_id or "", file, part)
        part.replace(target)
        _sync_folder(target.parent)

    async def _patiently(self, batch_id: str, call: Callable[[], None]) -> None:
        """Repeat a call for as long as waiting for the provider may help."""
        tries = 0
        began = self._services.elapsed()
        while True:
            try:
                async with self._turns:
                    await asyncio.to_thread(call)
            except ProviderError as error:
                waited_s = self._services.elapsed() - began
                is_gone = isinstance(error, NotFoundError) and waited_s > _GONE_AFTER_S
                if is_gone or not error.retryable:
                    raise
                tries += 1
                log.warning("collecting goes on later", batch=batch_id, error=str(error))
                self._services.update(batch_id, error=f"collecting goes on later: {error}")
                pause = delay_s(tries, self._services.policy.step_s, error)
                await asyncio.sleep(min(pause, _PAUSE_CAP_S))
            else:
                return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
