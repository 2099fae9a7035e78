"""OpenAI's and Groq's Files API: inputs are stored, results are made when they are read."""

import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.core import Core, new_id
from grabient_ops.sandbox.dialect import Part
from grabient_ops.sandbox.download import download
from grabient_ops.sandbox.http import ApiError, JsonObject, json_response
from grabient_ops.sandbox.multipart import Form, spool, take_apart
from grabient_ops.sandbox.state import Batch, StoredFile
from grabient_ops.sandbox.wire.chat import ChatDialect

_LIFE_S = 30 * 86_400
_ENDINGS: dict[Part, str] = {"output": "-output", "errors": "-errors"}

Call = tuple[str, str, Callable[[Request], Any]]


class OpenAIFiles:
    """Files of one provider."""

    def __init__(self, core: Core, provider: str) -> None:
        self.core = core
        self.provider = provider

    def calls(self) -> list[Call]:
        """(method, path behind the prefix, handler)."""
        return [
            ("POST", "/files", self.upload),
            ("GET", "/files", self.listed),
            ("GET", "/files/{id}", self.get),
            ("DELETE", "/files/{id}", self.delete),
            ("GET", "/files/{id}/content", self.content),
        ]

    async def upload(self, request: Request) -> Response:
        """Store a file; its content is not looked at yet."""
        file_id = new_id("file-")
        blob, body = self.core.state.blob(file_id), self.core.state.blob(file_id + ".upload")
        kind = request.headers.get("content-type", "")
        try:
            await spool(request.stream(), body)
            form = await run_in_threadpool(take_apart, body, kind, blob)
            file = self._admit(file_id, form)
        except ApiError:
            blob.unlink(missing_ok=True)
            raise
        finally:
            body.unlink(missing_ok=True)
        self.core.state.save_file(file)
        return json_response(_object(file))

    def _admit(self, file_id: str, form: Form) -> StoredFile:
        if form.filename is None:
            raise ApiError(400, "'file' is a required property", param="file")
        if form.fields.get("purpose") != "batch":
            raise ApiError(400, "The sandbox takes files of purpose 'batch' only.", param="purpose")
        if form.size > limits.MOST_BYTES[self.provider]:
            raise ApiError(413, f"The file holds {form.size} bytes, which is more than allowed.")
        return StoredFile(
            id=file_id,
            provider=self.provider,
            name=form.filename,
            size=form.size,
            created_at=time.time(),
        )

    async def listed(self, request: Request) -> Response:
        """Newest first, unless `order=asc`."""
        wanted = request.query_params.get("purpose", "batch") == "batch"
        files = list(self.core.state.files(self.provider)) if wanted else []
        if request.query_params.get("order") == "asc":
            files.reverse()
        page, more = page_of(request, files, most=10_000, default=10_000)
        return json_response(listing([_object(file) for file in page], more=more))

    async def get(self, request: Request) -> Response:
        """Describe an input file or a result file."""
        file_id = request.path_params["id"]
        found = self._result(file_id)
        if found is None:
            return json_response(_object(self.find(file_id)))
        batch, part = found
        file = StoredFile(
            id=file_id,
            provider=self.provider,
            name=f"{batch.id}_{part}.jsonl",
            size=0,
            created_at=batch.created_at,
        )
        return json_response(_object(file) | {"purpose": "batch_output"})

    async def delete(self, request: Request) -> Response:
        """Forget an input file; result files are only said to be deleted."""
        file_id = request.path_params["id"]
        if self._result(file_id) is None:
            self.core.state.delete_file(self.find(file_id))
        return json_response({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Response:
        """Send back an input file as it came, or make a result file."""
        file_id = request.path_params["id"]
        found = self._result(file_id)
        if found is None:
            return FileResponse(self.core.state.blob(self.find(file_id).id))
        batch, part = found
        return await download(self.core, batch, ChatDialect(self.provider), part)

    def find(self, file_id: str) -> StoredFile:
        """Return an input file.

        Raises:
            ApiError: there is none of this id (404).
        """
        file = self.core.state.file(self.provider, file_id)
        if file is None:
            raise ApiError(404, f"No such File object: {file_id}", param="id")
        return file

    def _result(self, file_id: str) -> tuple[Batch, Part] | None:
        for part, ending in _ENDINGS.items():
            stem = file_id.removeprefix("file-").removesuffix(ending)
            batch = self.core.find(self.provider, f"batch_{stem}")
            if batch and file_id == result_id(batch, part):
                return (batch, part) if self.core.progress(batch).stage.ended else None
        return None


def result_id(batch: Batch, part: Part) -> str:
    """The id of a batch's result file; made of the batch's, so that nothing must be stored."""
    return f"file-{batch.id.removeprefix('batch_')}{_ENDINGS[part]}"


def listing(data: list[JsonObject], *, more: bool) -> JsonObject:
    """One page of a list."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    page = {"object": "list", "data": data, "has_more": more}
    return page | {"first_id": first, "last_id": last}


def page_of(
    request: Request, items: list[Any], *, most: int, default: int, mark: str = "after"
) -> tuple[list[Any], bool]:
    """Cut one page out of a list: `limit` items behind the one whose id is the mark.

    Returns:
        The page, and whether more follow.
    """
    asked = request.query_params.get("limit", str(default))
    if not asked.isdecimal() or not 1 <= int(asked) <= most:
        raise ApiError(400, f"Invalid 'limit': expected 1 to {most}, got {asked}.", param="limit")
    after = request.query_params.get(mark)
    start = 0
    if after is not None:
        places = [n for n, item in enumerate(items) if item.id == after]
        if not places:
            raise ApiError(400, f"Invalid '{mark}': no object with id '{after}'.", param=mark)
        start = places[0] + 1
    page = items[start : start + int(asked)]
    return page, start + len(page) < len(items)


def _object(file: StoredFile) -> JsonObject:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created_at),
        "filename": file.name,
        "purpose": "batch",
        "status": "processed",
        "expires_at": int(file.created_at) + _LIFE_S,
    }
