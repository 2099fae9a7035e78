"""Sends a result file as it is made, or a part of it when the fault says so."""

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from grabient_ops.sandbox.core import Core
from grabient_ops.sandbox.dialect import Dialect
from grabient_ops.sandbox.http import CutResponse
from grabient_ops.sandbox.results import Part, result_chunks
from grabient_ops.sandbox.state import Batch

_MEDIA_TYPE = "application/octet-stream"


async def download(core: Core, batch: Batch, dialect: Dialect, part: Part) -> Response:
    """Answer with one part of an ended batch's results; memory stays flat unless it is cut."""
    blob = core.state.blob(batch.input_file)
    chunks = result_chunks(batch, core.progress(batch), dialect, blob, part)
    if not core.faults.fires("truncated_download"):
        return StreamingResponse(chunks, media_type=_MEDIA_TYPE)
    whole = await run_in_threadpool(b"".join, chunks)
    return CutResponse(whole[: len(whole) // 2], len(whole), _MEDIA_TYPE)
