"""OpenAI's and Groq's Files API: inputs are stored, results are made when they are read."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.core import Core, new_id
from grabient_ops.sandbox.dialect import Part
from grabient_ops.sandbox.http import ApiError, Call, JsonObject, json_response
from grabient_ops.sandbox.lifecycle import Progress, Stage, tally
from grabient_ops.sandbox.multipart import Form, spool, take_apart
from grabient_ops.sandbox.result_files import ResultFiles
from grabient_ops.sandbox.state import Batch, StoredFile
from grabient_ops.sandbox.wire.openai.lines import ChatDialect

_LIFE_S = 30 * 86_400
_SHORTEST_LIFE_S = 3600
_ENDINGS: dict[Part, str] = {"output": "-output", "errors": "-errors"}
_NAMES: dict[Part, str] = {"output": "output", "errors": "error"}
_RAN = frozenset({Stage.COMPLETED, Stage.EXPIRED, Stage.CANCELED})


class _Result(NamedTuple):
    """A result file that a client may see; whether it was made yet is nobody's business."""

    id: str
    created_at: float
    batch: Batch
    part: Part


class OpenAIFiles:
    """Files of one provider."""

    def __init__(self, core: Core, provider: str) -> None:
        self.core = core
        self.provider = provider
        self.results = ResultFiles(core)
        self.dialect = ChatDialect(provider)

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
        asked = {
            name: form.fields[f"expires_after[{name}]"]
            for name in ("anchor", "seconds")
            if f"expires_after[{name}]" in form.fields
        }
        return StoredFile(
            id=file_id,
            provider=self.provider,
            name=form.filename,
            size=form.size,
            created_at=time.time(),
            note={"life_s": life_s(asked or None, "expires_after")},
        )

    async def listed(self, request: Request) -> Response:
        """Newest first, unless `order=asc`; all purposes, unless one is asked for."""
        purpose = request.query_params.get("purpose")
        files: list[StoredFile | _Result] = []
        if purpose in {None, "batch_output"}:
            files += self._all_results()
        if purpose in {None, "batch"}:
            files += self.core.state.files(self.provider)
        files.sort(key=lambda file: file.created_at, reverse=True)
        if request.query_params.get("order") == "asc":
            files.reverse()
        page, more = page_of(request, files, most=10_000, default=10_000)
        return json_response(listing([await self._described(file) for file in page], more=more))

    async def get(self, request: Request) -> Response:
        """Describe an input file or a result file."""
        file_id = request.path_params["id"]
        file = self._result(file_id) or self.find(file_id)
        return json_response(await self._described(file))

    async def delete(self, request: Request) -> Response:
        """Forget an input file or a result file; their batch stays."""
        file_id = request.path_params["id"]
        result = self._result(file_id)
        if result is None:
            self.core.state.delete_file(self.find(file_id))
        else:
            self.core.state.delete_result(file_id)
            self.results.discard(result.batch, result.part)
        return json_response({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Response:
        """Send back an input file as it came, or make a result file."""
        file_id = request.path_params["id"]
        result = self._result(file_id)
        if result is None:
            return FileResponse(self.core.state.blob(self.find(file_id).id))
        return await self.results.download(result.batch, self.dialect, result.part)

    def find(self, file_id: str) -> StoredFile:
        """Return an uploaded file.

        Raises:
            ApiError: there is none of this id (404).
        """
        file = self.core.state.file(self.provider, file_id)
        if file is None:
            raise ApiError(404, f"No such File object: {file_id}", param="id")
        return file

    def find_input(self, file_id: str) -> StoredFile:
        """Return a file that a batch may be made of.

        Raises:
            ApiError: it is a result file (400), or there is none of this id (404).
        """
        if self._result(file_id):
            text = f"Invalid purpose of '{file_id}': 'batch_output'. Expected 'batch'."
            raise ApiError(400, text, code="invalid_value", param="input_file_id")
        return self.find(file_id)

    def _result(self, file_id: str) -> _Result | None:
        stem = file_id.removeprefix("file-").rpartition("-")[0]
        batch = self.core.find(self.provider, f"batch_{stem}")
        results = self._results_of(batch) if batch else ()
        return next((result for result in results if result.id == file_id), None)

    def _all_results(self) -> Iterator[_Result]:
        for batch in self.core.listed(self.provider):
            yield from self._results_of(batch)

    def _results_of(self, batch: Batch) -> Iterator[_Result]:
        now = self.core.progress(batch)
        for part in result_parts(batch, now):
            file_id = result_id(batch, part)
            if not self.core.state.is_deleted_result(file_id):
                yield _Result(file_id, now.ended_at or batch.created_at, batch, part)

    async def _described(self, file: StoredFile | _Result) -> JsonObject:
        if isinstance(file, StoredFile):
            return _object(file)
        path = await self.results.path(file.batch, self.dialect, file.part)
        stored = StoredFile(
            id=file.id,
            provider=self.provider,
            name=f"{file.batch.id}_{_NAMES[file.part]}.jsonl",
            size=path.stat().st_size,
            created_at=file.created_at,
            note={"life_s": file.batch.sent.get("life_s", _LIFE_S)},
        )
        return _object(stored) | {"purpose": "batch_output"}


def life_s(asked: object, param: str) -> int:
    """Seconds from a file's creation to its end, as a client wants it or as is usual.

    Raises:
        ApiError: it is wanted in another way, or for another time, than is allowed (400).
    """
    if asked is None:
        return _LIFE_S
    wanted = asked if isinstance(asked, dict) else {}
    seconds = str(wanted.get("seconds"))
    in_range = seconds.isdecimal() and _SHORTEST_LIFE_S <= int(seconds) <= _LIFE_S
    if wanted.get("anchor") != "created_at" or not in_range:
        text = (
            f"Invalid '{param}': expected anchor 'created_at' and"
            f" {_SHORTEST_LIFE_S} to {_LIFE_S} seconds."
        )
        raise ApiError(400, text, code="invalid_value", param=param)
    return int(seconds)


def result_parts(batch: Batch, now: Progress) -> list[Part]:
    """Which result files a batch has: none before its end, and none that would be empty."""
    if now.stage not in _RAN:
        return []
    lines = tally(batch, now.reached)
    with_output = lines.answered + lines.missing > 0
    with_errors = lines.rejected + lines.failed + lines.unreached > 0
    parts: list[tuple[Part, bool]] = [("output", with_output), ("errors", with_errors)]
    return [part for part, exists in parts if exists]


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
        "expires_at": int(file.created_at) + file.note.get("life_s", _LIFE_S),
    }
