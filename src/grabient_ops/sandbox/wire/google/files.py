"""Gemini's Files API as far as batches need it: uploads in pieces, looking up, deleting."""

import base64
import hashlib
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.core import Core, new_id
from grabient_ops.sandbox.http import ApiError, Call, JsonObject, json_response, read_json
from grabient_ops.sandbox.lifecycle import Stage
from grabient_ops.sandbox.result_files import ResultFiles
from grabient_ops.sandbox.state import Batch, StoredFile
from grabient_ops.sandbox.wire.google.lines import DIALECT

PROVIDER = "google"
_NAME = re.compile(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_LIFE = timedelta(hours=48)
_PAGE, _LARGEST_PAGE = 50, 1000
_RESULTS = "files/batch-"


class GeminiFiles:
    """Files of both kinds; an upload that was cut off goes on at the byte that `query` names."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.state = core.state
        self.results = ResultFiles(core)

    def calls(self) -> list[Call]:
        """(method, path behind the API version, handler)."""
        return [
            ("GET", "/files", self.listed),
            ("GET", "/files/{id}:download", self.download),
            ("GET", "/files/{id}", self.get),
            ("DELETE", "/files/{id}", self.delete),
        ]

    async def upload(self, request: Request) -> Response:
        """Answer one step of a resumable upload, as its command header says."""
        upload_id = request.query_params.get("upload_id")
        commands = request.headers.get("x-goog-upload-command", "").replace(" ", "").split(",")
        if upload_id is None:
            return await self._start(request, commands)
        file = self.find(f"files/{upload_id}")
        if commands != ["query"]:
            await self._append(request, file)
        if "finalize" not in commands:
            size = self.state.blob(file.id).stat().st_size
            headers = {"x-goog-upload-status": "active", "x-goog-upload-size-received": str(size)}
            return json_response({}, headers=headers)
        done = _object(await self._finish(file), request)
        return json_response({"file": done}, headers={"x-goog-upload-status": "final"})

    async def _start(self, request: Request, commands: list[str]) -> Response:
        if commands != ["start"] or request.headers.get("x-goog-upload-protocol") != "resumable":
            raise ApiError(400, "The sandbox takes resumable uploads only.")
        given = (await read_json(request)).get("file")
        described = given if isinstance(given, dict) else {}
        name = str(described.get("name") or new_id("files/"))
        if not _NAME.fullmatch(name):
            raise ApiError(400, f"Invalid file name '{name}'.")
        known = self.state.file(PROVIDER, name)
        if known is not None and known.ready:
            raise ApiError(409, f"Requested entity already exists: {name}")
        shown = described.get("display_name") or described.get("displayName") or ""
        mime_type = described.get("mime_type") or described.get("mimeType") or "text/plain"
        file = StoredFile(
            id=name,
            provider=PROVIDER,
            name=shown,
            size=0,
            created_at=time.time(),
            ready=False,
            note={"mime_type": mime_type},
        )
        self.state.blob(name).write_bytes(b"")
        self.state.save_file(file)
        url = f"{request.base_url}upload/v1/files?upload_id={name.removeprefix('files/')}"
        headers = {"x-goog-upload-url": url, "x-goog-upload-status": "active"}
        return json_response({}, headers=headers)

    async def _append(self, request: Request, file: StoredFile) -> None:
        """Write one piece at its offset; a piece that comes again overwrites itself."""
        given = request.headers.get("x-goog-upload-offset", "0")
        blob = self.state.blob(file.id)
        if file.ready or not given.isdecimal() or int(given) > blob.stat().st_size:
            raise ApiError(400, f"Upload offset {given} does not fit.")
        offset = int(given)
        with blob.open("r+b") as out:
            out.truncate(offset)
            out.seek(offset)
            async for piece in request.stream():
                out.write(piece)

    async def _finish(self, file: StoredFile) -> StoredFile:
        blob = self.state.blob(file.id)
        size = blob.stat().st_size
        if size > limits.MOST_BYTES[PROVIDER]:
            raise ApiError(400, f"The file holds {size} bytes, which is more than allowed.")
        digest = await run_in_threadpool(_sha256, blob)
        done = replace(file, size=size, ready=True, note=file.note | {"sha256": digest})
        self.state.save_file(done)
        return done

    async def listed(self, request: Request) -> Response:
        """The uploaded ones, newest first."""
        files = [file for file in self.state.files(PROVIDER) if file.ready]
        page, token = page_of(request, files)
        return json_response({"files": [_object(file, request) for file in page]} | token)

    async def get(self, request: Request) -> Response:
        """Describe one file."""
        name = f"files/{request.path_params['id']}"
        batch = self._result(name)
        if batch is None:
            return json_response(_object(self.find(name), request))
        return json_response(await self._result_object(batch, request))

    async def download(self, request: Request) -> Response:
        """Send the results of a batch; nothing that was uploaded can be had back."""
        name = f"files/{request.path_params['id']}"
        batch = self._result(name)
        if batch is None:
            raise _missing(name)
        return await self.results.download(batch, DIALECT, "all")

    async def delete(self, request: Request) -> Response:
        """Forget one file; the batch of a result file stays."""
        name = f"files/{request.path_params['id']}"
        batch = self._result(name)
        if batch is None:
            self.state.delete_file(self.find(name))
        else:
            self.state.delete_result(name)
            self.results.discard(batch, "all")
        return json_response({})

    def find(self, name: str) -> StoredFile:
        """Return the file of this name.

        Raises:
            ApiError: there is none (404).
        """
        file = self.state.file(PROVIDER, name)
        if file is None:
            raise _missing(name)
        return file

    def _result(self, name: str) -> Batch | None:
        """The batch whose results a file holds, if it does."""
        batch = self.core.find(PROVIDER, "batches/" + name.removeprefix(_RESULTS))
        if batch is None or name != result_name(batch) or self.state.is_deleted_result(name):
            return None
        ran = self.core.progress(batch).stage in {Stage.COMPLETED, Stage.CANCELED}
        readable = ran and not batch.sent["inline"] and "empty_output" not in batch.faults
        return batch if readable else None

    async def _result_object(self, batch: Batch, request: Request) -> JsonObject:
        path = await self.results.path(batch, DIALECT, "all")
        name = result_name(batch)
        file = StoredFile(
            id=name,
            provider=PROVIDER,
            name=name.removeprefix("files/"),
            size=path.stat().st_size,
            created_at=self.core.progress(batch).ended_at or batch.created_at,
            note={"mime_type": "jsonl", "sha256": await run_in_threadpool(_sha256, path)},
        )
        url = f"{request.base_url}v1/{name}:download?alt=media"
        return _object(file, request) | {"source": "GENERATED", "downloadUri": url}


def result_name(batch: Batch) -> str:
    """The name of a batch's result file; made of the batch's, so that nothing must be stored."""
    return _RESULTS + batch.id.removeprefix("batches/")


def _missing(name: str) -> ApiError:
    return ApiError(404, f"File {name} does not exist, or you may not read it.")


def page_of(request: Request, items: list[Any]) -> tuple[list[Any], JsonObject]:
    """Cut a page out of a list; the second value names the next page, if there is one."""
    query = request.query_params
    size, start = query.get("pageSize", "0"), query.get("pageToken") or "0"
    if not size.isdecimal() or not start.isdecimal():
        raise ApiError(400, "Invalid page size or page token.")
    end = int(start) + min(int(size) or _PAGE, _LARGEST_PAGE)
    return items[int(start) : end], {"nextPageToken": str(end)} if end < len(items) else {}


def timestamp(unix: float) -> str:
    """Write a time as Google does."""
    return datetime.fromtimestamp(unix, UTC).isoformat().replace("+00:00", "Z")


def _object(file: StoredFile, request: Request) -> JsonObject:
    return {
        "name": file.id,
        "displayName": file.name,
        "mimeType": file.note["mime_type"],
        "sizeBytes": str(file.size),
        "createTime": timestamp(file.created_at),
        "updateTime": timestamp(file.created_at),
        "expirationTime": timestamp(file.created_at + _LIFE.total_seconds()),
        "sha256Hash": file.note.get("sha256", ""),
        "uri": f"{request.base_url}v1/{file.id}",
        "state": "ACTIVE" if file.ready else "PROCESSING",
        "source": "UPLOADED",
    }


def _sha256(blob: Path) -> str:
    with blob.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
