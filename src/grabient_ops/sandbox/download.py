"""Sends a result file as it is made, or a part of it when the fault says so."""

from collections.abc import Iterator

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from grabient_ops.sandbox.core import Core
from grabient_ops.sandbox.dialect import Part, Writer
from grabient_ops.sandbox.http import CutResponse
from grabient_ops.sandbox.state import Batch

_MEDIA_TYPE = "application/octet-stream"


def result_file(core: Core, batch: Batch, writer: Writer, part: Part) -> Iterator[bytes]:
    """One part of an ended batch's results; see `results.result_chunks`."""
    from grabient_ops.sandbox.results import result_chunks  # NumPy would double the start-up

    return result_chunks(batch, core.progress(batch), writer, core.digested(batch.id), part)


async def download(core: Core, batch: Batch, writer: Writer, part: Part) -> Response:
    """Answer with one part of an ended batch's results; memory stays flat unless it is cut."""
    chunks = await run_in_threadpool(result_file, core, batch, writer, part)
    if not core.faults.fires("truncated_download"):
        return StreamingResponse(chunks, media_type=_MEDIA_TYPE)
    whole = await run_in_threadpool(b"".join, chunks)
    return CutResponse(whole[: len(whole) // 2], len(whole), _MEDIA_TYPE)
