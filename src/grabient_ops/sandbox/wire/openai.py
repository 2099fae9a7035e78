"""OpenAI's files and batches, and Groq's, which are the same but for paging and error lists."""

import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.core import Core, Draft, new_id
from grabient_ops.sandbox.dialect import Part, Problem
from grabient_ops.sandbox.download import download
from grabient_ops.sandbox.http import ApiError, JsonObject, json_response, only_known, read_json
from grabient_ops.sandbox.intake import survey
from grabient_ops.sandbox.lifecycle import Stage, tally
from grabient_ops.sandbox.multipart import spool, take_apart
from grabient_ops.sandbox.state import Batch, StoredFile
from grabient_ops.sandbox.wire.chat import ENDPOINT, ChatDialect

_CREATE_FIELDS = frozenset(
    {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}
)
_STATES = {
    Stage.VALIDATING: "validating",
    Stage.RUNNING: "in_progress",
    Stage.FINALIZING: "finalizing",
    Stage.CANCELING: "cancelling",
    Stage.COMPLETED: "completed",
    Stage.FAILED: "failed",
    Stage.EXPIRED: "expired",
    Stage.CANCELED: "cancelled",
}
_DAY_S = 86_400
_PARTS: dict[str, Part] = {"-output": "output", "-errors": "errors"}


class OpenAIWire:
    """`/v1` of OpenAI, or `/openai/v1` of Groq."""

    def __init__(self, core: Core, provider: str, prefix: str) -> None:
        self.core = core
        self.provider = provider
        self.dialect = ChatDialect(provider)
        self.prefix = prefix

    def routes(self) -> list[Route]:
        """Everything that this wire answers."""
        table: list[tuple[str, str, Callable[[Request], Any]]] = [
            ("POST", "/files", self.upload),
            ("GET", "/files", self.list_files),
            ("GET", "/files/{id}", self.file),
            ("DELETE", "/files/{id}", self.delete_file),
            ("GET", "/files/{id}/content", self.content),
            ("POST", "/batches", self.create),
            ("GET", "/batches", self.list_batches),
            ("GET", "/batches/{id}", self.retrieve),
            ("POST", "/batches/{id}/cancel", self.cancel),
            ("GET", "/models", self.models),
        ]
        return [Route(self.prefix + path, call, methods=[method]) for method, path, call in table]

    async def upload(self, request: Request) -> Response:
        """Store a file; its content is not looked at yet."""
        file_id = new_id("file-")
        blob, body = self.core.state.blob(file_id), self.core.state.blob(file_id + ".upload")
        try:
            await spool(request.stream(), body)
            kind = request.headers.get("content-type", "")
            form = await run_in_threadpool(take_apart, body, kind, blob)
        finally:
            body.unlink(missing_ok=True)
        if form.filename is None:
            raise ApiError(400, "'file' is a required property", param="file")
        if form.fields.get("purpose") != "batch":
            raise ApiError(400, "The sandbox takes files of purpose 'batch' only.", param="purpose")
        if form.size > limits.MOST_BYTES[self.provider]:
            raise ApiError(413, f"The file holds {form.size} bytes, which is more than allowed.")
        file = StoredFile(
            id=file_id,
            provider=self.provider,
            name=form.filename,
            size=form.size,
            created_at=time.time(),
        )
        self.core.state.save_file(file)
        return json_response(_file_object(file))

    async def list_files(self, request: Request) -> Response:
        """Newest first, unless `order=asc`."""
        files = list(self.core.state.files(self.provider))
        if request.query_params.get("order") == "asc":
            files.reverse()
        page, more = _page(request, files, most=10_000, default=10_000)
        return json_response(_list([_file_object(file) for file in page], more=more))

    async def file(self, request: Request) -> Response:
        """Describe an input file or a result file."""
        file_id = request.path_params["id"]
        found = self._result(file_id)
        if found is None:
            return json_response(_file_object(self._file(file_id)))
        batch = found[0]
        file = StoredFile(
            id=file_id,
            provider=self.provider,
            name=f"{batch.id}_{found[1]}.jsonl",
            size=0,
            created_at=batch.created_at,
        )
        return json_response(_file_object(file) | {"purpose": "batch_output"})

    async def delete_file(self, request: Request) -> Response:
        """Forget an input file; result files are only said to be deleted."""
        file_id = request.path_params["id"]
        if self._result(file_id) is None:
            self.core.state.delete_file(self._file(file_id))
        return json_response({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Response:
        """Send back an input file as it came, or make a result file."""
        file_id = request.path_params["id"]
        found = self._result(file_id)
        if found is None:
            blob = self.core.state.blob(self._file(file_id).id)
            return Response(await run_in_threadpool(blob.read_bytes))
        batch, part = found
        return await download(self.core, batch, self.dialect, part)

    async def create(self, request: Request) -> Response:
        """Accept a batch; what is wrong with its file shows on a later retrieve."""
        content = await read_json(request)
        only_known(content, _CREATE_FIELDS)
        self._check_create(content)
        file = self._file(str(content.get("input_file_id")))
        blob = self.core.state.blob(file.id)
        most = limits.MOST_REQUESTS[self.provider]
        batch_id = new_id("batch_")
        digested = self.core.digested(batch_id)
        found = await run_in_threadpool(survey, blob, self.dialect, most, digested)
        drawn = self.core.faults.draw_for_batch()
        if "queue_full" in drawn:
            text = (
                f"Enqueued token limit reached for {found.model}. Limit: 2,000,000 enqueued tokens."
            )
            found.refuse(Problem(f"{text} Please try again later.", "token_limit_exceeded"))
        if "reject" in drawn:
            found.refuse(
                Problem("This line is not parseable as valid JSON.", "invalid_json_line"), 1
            )
        batch = self.core.submit(
            Draft(
                id=batch_id,
                provider=self.provider,
                model=found.model or "",
                input_file=file.id,
                survey=found,
                sent={
                    "metadata": content.get("metadata"),
                    "window": content["completion_window"],
                },
            ),
            drawn,
        )
        return json_response(self._batch_object(batch))

    def _check_create(self, content: JsonObject) -> None:
        window = content.get("completion_window")
        days = ("24h",) if self.provider == "openai" else ("24h", *(f"{n}d" for n in range(1, 8)))
        if window not in days:
            text = f"Invalid value: '{window}'. Supported values are: {', '.join(days)}."
            raise ApiError(400, text, code="invalid_value", param="completion_window")
        if content.get("endpoint") != ENDPOINT:
            text = (
                f"Invalid value: '{content.get('endpoint')}'. The sandbox speaks only '{ENDPOINT}'."
            )
            raise ApiError(400, text, code="invalid_value", param="endpoint")
        _check_metadata(content.get("metadata"))

    async def list_batches(self, request: Request) -> Response:
        """Newest first; OpenAI pages by `after`, Groq by `cursor`, and Groq finds many by `id`."""
        wanted = set(request.query_params.getlist("id"))
        batches = self.core.listed(self.provider)
        if self.provider == "openai":
            page, more = _page(request, batches, most=100, default=20)
            return json_response(_list([self._batch_object(batch) for batch in page], more=more))
        if wanted:
            page, more = [batch for batch in batches if batch.id in wanted][:200], False
        else:
            page, more = _page(request, batches, most=100, default=20, mark="cursor")
        paging = {"paging": {"next_cursor": page[-1].id}} if more else {}
        data = [self._batch_object(batch) for batch in page]
        return json_response({"object": "list", "data": data} | paging)

    async def retrieve(self, request: Request) -> Response:
        """Say where the batch is."""
        batch = self._batch(request.path_params["id"], polling=True)
        return json_response(self._batch_object(batch))

    async def cancel(self, request: Request) -> Response:
        """Stop a batch; what is finished stays."""
        batch = self._batch(request.path_params["id"])
        stage = self.core.progress(batch).stage
        if stage.ended:
            raise ApiError(409, f"Cannot cancel a batch with status '{_STATES[stage]}'.")
        return json_response(self._batch_object(self.core.cancel(batch)))

    async def models(self, _: Request) -> Response:
        """Some models; others of the same family are accepted too."""
        fields = {"object": "model", "created": 1_700_000_000, "owned_by": "sandbox"}
        data = [fields | {"id": model} for model in limits.KNOWN[self.provider]]
        return json_response({"object": "list", "data": data})

    def state_word(self, batch: Batch) -> str:
        """The provider's own word for where the batch is."""
        return _STATES[self.core.progress(batch).stage]

    def metadata(self, batch: Batch) -> JsonObject:
        """What the client wrote on the batch."""
        return batch.sent.get("metadata") or {}

    def refusal(self, error: ApiError) -> Response:
        """Put the provider's words around a refusal."""
        kind = error.kind or ("server_error" if error.status >= 500 else "invalid_request_error")
        fields = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
        return json_response({"error": fields}, error.status, error.headers)

    def _file(self, file_id: str) -> StoredFile:
        file = self.core.state.file(self.provider, file_id)
        if file is None:
            raise ApiError(404, f"No such File object: {file_id}", param="id")
        return file

    def _batch(self, batch_id: str, *, polling: bool = False) -> Batch:
        batch = self.core.find(self.provider, batch_id, polling=polling)
        if batch is None:
            raise ApiError(404, f"No batch found with id '{batch_id}'.", param="batch_id")
        return batch

    def _result(self, file_id: str) -> tuple[Batch, Part] | None:
        """A result file's id is made of its batch's: nothing has to be stored for it."""
        for ending, part in _PARTS.items():
            batch = self.core.find(self.provider, "batch_" + file_id[5 : -len(ending)])
            if file_id.endswith(ending) and batch and self.core.progress(batch).stage.ended:
                return batch, part
        return None

    def _batch_object(self, batch: Batch) -> JsonObject:
        now = self.core.progress(batch)
        counts = tally(batch, now.reached)
        answered = counts.answered + counts.missing
        failed = counts.rejected + counts.failed
        file = f"file-{batch.id.removeprefix('batch_')}"
        ran = now.stage in {Stage.COMPLETED, Stage.EXPIRED, Stage.CANCELED}
        errors = ran and failed + counts.unreached > 0
        no_errors = "" if ran and "empty_error_file_id" in batch.faults else None
        running = now.stage != Stage.VALIDATING
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": ENDPOINT,
            "model": batch.model or None,
            "errors": self._errors(batch) if now.stage == Stage.FAILED else None,
            "input_file_id": batch.input_file,
            "completion_window": batch.sent["window"],
            "status": _STATES[now.stage],
            "output_file_id": f"{file}-output" if ran and answered else None,
            "error_file_id": f"{file}-errors" if errors else no_errors,
            "request_counts": {
                "total": batch.total if running else 0,
                "completed": answered,
                "failed": failed,
            },
            "metadata": batch.sent["metadata"],
            **_times(batch, now.stage, now.ended_at),
        }

    def _errors(self, batch: Batch) -> JsonObject | list[JsonObject]:
        data = list(batch.problems)
        return data if self.provider == "groq" else {"object": "list", "data": data}


def _times(batch: Batch, stage: Stage, ended_at: float | None) -> JsonObject:
    created = int(batch.created_at)
    ended = None if ended_at is None else int(ended_at)
    running = stage not in {Stage.VALIDATING, Stage.FAILED}
    return {
        "created_at": created,
        "in_progress_at": created if running else None,
        "expires_at": created + _DAY_S,
        "finalizing_at": ended or created if stage in {Stage.FINALIZING, Stage.COMPLETED} else None,
        "completed_at": ended if stage == Stage.COMPLETED else None,
        "failed_at": ended if stage == Stage.FAILED else None,
        "expired_at": ended if stage == Stage.EXPIRED else None,
        "cancelling_at": None if batch.cancel_at is None else int(batch.cancel_at),
        "cancelled_at": ended if stage == Stage.CANCELED else None,
    }


def _file_object(file: StoredFile) -> JsonObject:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created_at),
        "filename": file.name,
        "purpose": "batch",
        "status": "processed",
        "expires_at": int(file.created_at) + 30 * _DAY_S,
    }


def _list(data: list[JsonObject], *, more: bool) -> JsonObject:
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {
        "object": "list",
        "data": data,
        "has_more": more,
        "first_id": None,
        "last_id": None,
    } | ends


def _page(
    request: Request, items: list[Any], *, most: int, default: int, mark: str = "after"
) -> tuple[list[Any], bool]:
    """Cut one page out of a list: `limit` items behind the one whose id is the mark."""
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


def _check_metadata(metadata: object) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or len(metadata) > 16:
        raise ApiError(400, "Invalid 'metadata': at most 16 pairs.", param="metadata")
    for name, value in metadata.items():
        if len(name) > 64 or not isinstance(value, str) or len(value) > 512:
            raise ApiError(400, f"Invalid 'metadata.{name}'.", param="metadata")
