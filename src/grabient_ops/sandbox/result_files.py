"""Keeps the result files of ended batches: made once, when first wanted, and read ever after."""

import asyncio
from pathlib import Path

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from grabient_ops.sandbox.core import Core, new_id
from grabient_ops.sandbox.dialect import Part, Writer
from grabient_ops.sandbox.http import CutResponse
from grabient_ops.sandbox.personas.talk import Tokens
from grabient_ops.sandbox.state import Batch

_MEDIA_TYPE = "application/octet-stream"
_PATIENCE_S = 20.0


class ResultFiles:
    """The result files of one provider.

    Making one takes about 0.05 ms for each request. Whoever polls an ended batch usually downloads
    it next, so what counts its tokens leaves the file for the download.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._making: dict[Path, asyncio.Task[None]] = {}

    async def path(self, batch: Batch, writer: Writer, part: Part) -> Path:
        """Where one part of an ended batch's results is; it is made if need be."""
        path = self._place(batch, part)
        if not path.exists():
            await asyncio.shield(self._made(batch, writer, part))
        return path

    async def download(self, batch: Batch, writer: Writer, part: Part) -> Response:
        """Answer with one part of an ended batch's results, or half of it if the fault says so."""
        path = await self.path(batch, writer, part)
        if not self._core.faults.fires("truncated_download"):
            return FileResponse(path, media_type=_MEDIA_TYPE)
        whole = await run_in_threadpool(path.read_bytes)
        return CutResponse(whole[: len(whole) // 2], len(whole), _MEDIA_TYPE)

    async def tokens(self, batch: Batch, writer: Writer, part: Part) -> Tokens | None:
        """What the answers in a part cost; None while so many are counted that a poll can't wait.

        They outlive the file.
        """
        kept = self._tokens_of(batch, part)
        if not kept.exists():
            await asyncio.wait({self._made(batch, writer, part)}, timeout=_PATIENCE_S)
        return Tokens(**orjson.loads(kept.read_bytes())) if kept.exists() else None

    def discard(self, batch: Batch, part: Part) -> None:
        """Free the space of a part that nobody may read any more."""
        self._place(batch, part).unlink(missing_ok=True)

    def _made(self, batch: Batch, writer: Writer, part: Part) -> asyncio.Task[None]:
        """The one task that makes this part, for all who wait for it."""
        path = self._place(batch, part)
        if path not in self._making:
            work = run_in_threadpool(self._make, batch, writer, part)
            self._making[path] = task = asyncio.ensure_future(work)
            task.add_done_callback(lambda _: self._making.pop(path))
        return self._making[path]

    def _make(self, batch: Batch, writer: Writer, part: Part) -> None:
        from grabient_ops.sandbox.results import write_results  # NumPy would double the start-up

        path, kept = self._place(batch, part), self._tokens_of(batch, part)
        # Other names until they are whole: a killed sandbox leaves nothing that looks made.
        rows, sums = path.with_name(new_id(path.name + ".")), kept.with_name(new_id("tokens."))
        seen, digested = self._core.progress(batch), self._core.digested(batch.id)
        tokens = write_results(batch, seen, writer, digested, part, rows)
        sums.write_bytes(orjson.dumps(tokens))
        sums.replace(kept)
        rows.replace(path)

    def _place(self, batch: Batch, part: Part) -> Path:
        return self._core.state.blob(f"{batch.id}.{part}")

    def _tokens_of(self, batch: Batch, part: Part) -> Path:
        return self._core.state.blob(f"{batch.id}.{part}.tokens")
