"""Gemini's batches, under `/v1` and `/v1beta`: operations whose `metadata` holds the state."""

from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.core import Core, Draft, new_id
from grabient_ops.sandbox.dialect import Problem
from grabient_ops.sandbox.http import (
    ApiError,
    Call,
    JsonObject,
    json_response,
    only_known,
    read_json,
)
from grabient_ops.sandbox.intake import survey
from grabient_ops.sandbox.lifecycle import Progress, Stage, tally
from grabient_ops.sandbox.state import Batch
from grabient_ops.sandbox.wire.google.files import (
    PROVIDER,
    GeminiFiles,
    page_of,
    result_name,
    timestamp,
)
from grabient_ops.sandbox.wire.google.lines import DIALECT, camel
from grabient_ops.sandbox.wire.google.models import GeminiModels

_STATES = {
    Stage.VALIDATING: "BATCH_STATE_PENDING",
    Stage.RUNNING: "BATCH_STATE_RUNNING",
    Stage.FINALIZING: "BATCH_STATE_RUNNING",
    Stage.CANCELING: "BATCH_STATE_RUNNING",
    Stage.COMPLETED: "BATCH_STATE_SUCCEEDED",
    Stage.FAILED: "BATCH_STATE_FAILED",
    Stage.EXPIRED: "BATCH_STATE_EXPIRED",
    Stage.CANCELED: "BATCH_STATE_CANCELLED",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_BATCH_FIELDS = frozenset({"inputConfig", "displayName", "webhookConfig", "priority"})
_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch"


class GoogleWire:
    """Gemini Developer API."""

    id_header = ""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.files = GeminiFiles(core)

    def routes(self) -> list[Route]:
        """Everything that this wire answers; both API versions are the same."""
        calls: list[Call] = [
            ("POST", "/models/{model}:batchGenerateContent", self.create),
            ("GET", "/batches", self.list_batches),
            ("GET", "/batches/{id}", self.get),
            ("POST", "/batches/{id}:cancel", self.cancel),
            ("DELETE", "/batches/{id}", self.delete),
            *self.files.calls(),
            *GeminiModels().calls(),
        ]
        roots = ("/v1", "/v1beta")
        routes = [
            Route(root + path, call, methods=[method])
            for root in roots
            for method, path, call in calls
        ]
        uploads = [
            Route(f"/upload{root}/files", self.files.upload, methods=["POST"]) for root in roots
        ]
        return routes + uploads

    async def create(self, request: Request) -> Response:
        """Accept a batch of a file's lines, or of the requests inside the call."""
        model = request.path_params["model"]
        if not limits.is_known(PROVIDER, model):
            text = f"models/{model} is not found, or is not supported for batchGenerateContent."
            raise ApiError(404, text)
        asked = await _read_batch(request)
        batch_id = new_id("batches/")
        blob = self._input(asked, batch_id)
        most = limits.MOST_REQUESTS[PROVIDER]
        digested = self.core.digested(batch_id)
        source = self.core.state.blob(blob)
        found = await run_in_threadpool(survey, source, DIALECT, most, digested)
        drawn = self.core.faults.draw_for_batch()
        if "queue_full" in drawn:
            raise ApiError(429, "You exceeded your current quota: enqueued batch tokens.")
        if "reject" in drawn:
            found.refuse(Problem("The input file could not be read.", "INVALID_ARGUMENT"))
        draft = Draft(
            id=batch_id,
            provider=PROVIDER,
            model=model,
            input_file=blob,
            survey=found,
            sent={
                "display_name": asked.get("displayName", ""),
                "inline": blob == batch_id,
                "webhook": asked.get("webhookConfig"),
            },
        )
        return json_response(await self._operation(self.core.submit(draft, drawn)))

    def _input(self, asked: JsonObject, batch_id: str) -> str:
        """Name the blob of the input; inline requests get one of their own."""
        config = asked["inputConfig"]
        if "fileName" in config:
            file = self.files.find(str(config["fileName"]))
            if not file.ready:
                raise ApiError(400, f"File {file.id} is not in an ACTIVE state.")
            return file.id
        inline = config.get("requests")
        requests = inline.get("requests") if isinstance(inline, dict) else None
        if not isinstance(requests, list) or not requests:
            raise ApiError(400, "batch.inputConfig: exactly one of fileName, requests is required.")
        content = _numbered(requests)
        if len(content) > limits.MOST_INLINE_BYTES:
            raise ApiError(413, "Request payload size exceeds the limit: 20 MB.")
        self.core.state.blob(batch_id).write_bytes(content)
        return batch_id

    async def list_batches(self, request: Request) -> Response:
        """Newest first."""
        page, token = page_of(request, self.core.listed(PROVIDER))
        operations = [await self._operation(batch) for batch in page]
        return json_response({"operations": operations} | token)

    async def get(self, request: Request) -> Response:
        """Say where the batch is."""
        return json_response(await self._operation(self._batch(request, polling=True)))

    async def cancel(self, request: Request) -> Response:
        """Stop a batch; what is finished stays."""
        self.core.cancel(self._batch(request))
        return json_response({})

    async def delete(self, request: Request) -> Response:
        """Hide a batch and its results; that does not stop it."""
        batch = self._batch(request)
        self.core.state.delete_batch(batch)
        self.files.results.discard(batch, "all")
        return json_response({})

    def state_word(self, batch: Batch) -> str:
        """The provider's own word for where the batch is."""
        return _STATES[self.core.progress(batch).stage]

    def metadata(self, batch: Batch) -> JsonObject:
        """The display name is all that a client can write on a batch."""
        return {"display_name": batch.sent["display_name"]}

    def refusal(self, error: ApiError) -> Response:
        """Put the provider's words around a refusal."""
        status = _STATUSES.get(error.status, "UNKNOWN")
        fields = {"code": error.status, "message": error.message, "status": status, "details": []}
        return json_response({"error": fields}, error.status, error.headers)

    def _batch(self, request: Request, *, polling: bool = False) -> Batch:
        name = "batches/" + request.path_params["id"]
        batch = self.core.find(PROVIDER, name, polling=polling)
        if batch is None:
            raise ApiError(404, f"Requested entity was not found: {name}")
        return batch

    async def _operation(self, batch: Batch) -> JsonObject:
        now = self.core.progress(batch)
        metadata = {
            "@type": _TYPE,
            "name": batch.id,
            "model": f"models/{batch.model}",
            "displayName": batch.sent["display_name"],
            "state": _STATES[now.stage],
            "createTime": timestamp(batch.created_at),
            "updateTime": timestamp(now.ended_at or batch.created_at),
            "batchStats": _stats(batch, now),
            "inputConfig": {} if batch.sent["inline"] else {"fileName": batch.input_file},
        }
        operation: JsonObject = {"name": batch.id, "metadata": metadata}
        if now.ended_at is None:
            return operation
        metadata["endTime"] = timestamp(now.ended_at)
        metadata["output"] = await self._output(batch, now)
        if now.stage == Stage.FAILED:
            message = str(batch.problems[0]["message"])
            operation["error"] = {"code": 3, "message": message, "details": []}
        return operation | {"done": True}

    async def _output(self, batch: Batch, now: Progress) -> JsonObject | None:
        if now.stage not in {Stage.COMPLETED, Stage.CANCELED}:
            return None
        if not batch.sent["inline"]:
            return None if "empty_output" in batch.faults else {"responsesFile": result_name(batch)}
        results = await self.files.results.path(batch, DIALECT, "all")
        inline = await run_in_threadpool(self._inline, batch, results.read_bytes())
        return {"inlinedResponses": {"inlinedResponses": inline}}

    def _inline(self, batch: Batch, results: bytes) -> list[JsonObject]:
        """Give every answer the metadata of its request; there is no other way to tell them."""
        requests = map(orjson.loads, self.core.state.blob(batch.id).read_bytes().splitlines())
        metadata = {str(place): one.get("metadata") for place, one in enumerate(requests)}
        rows = filter(None, map(_whole, results.splitlines()))
        return [row | _about(row.pop("key"), metadata) for row in rows]


def _numbered(requests: list[Any]) -> bytes:
    """Write inline requests as lines of a file; they have no key, so their place becomes it."""
    lines = [
        one | {"key": str(place)} if isinstance(one, dict) else one
        for place, one in enumerate(requests)
    ]
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def _whole(row: bytes) -> JsonObject | None:
    """Read a row of results; inside an answer there are no torn ones."""
    try:
        found: JsonObject = orjson.loads(row)
    except orjson.JSONDecodeError:
        return None
    return found


def _about(key: str, metadata: JsonObject) -> JsonObject:
    found = metadata.get(key, {"key": key})
    return {} if found is None else {"metadata": found}


async def _read_batch(request: Request) -> JsonObject:
    content = await read_json(request)
    only_known(content, frozenset({"batch"}))
    asked = content.get("batch")
    asked = camel(asked) if isinstance(asked, dict) else {}
    if not isinstance(asked.get("inputConfig"), dict):
        raise ApiError(400, "batch.inputConfig is required.")
    only_known(asked, _BATCH_FIELDS)
    return asked | {"inputConfig": camel(asked["inputConfig"])}


def _stats(batch: Batch, now: Progress) -> JsonObject:
    lines = tally(batch, now.reached)
    counts = {
        "requestCount": batch.total,
        "successfulRequestCount": lines.answered + lines.missing,
        "failedRequestCount": lines.rejected + lines.failed,
        "pendingRequestCount": lines.unreached,
    }
    return {name: str(count) for name, count in counts.items()}
