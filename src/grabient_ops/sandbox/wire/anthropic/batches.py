"""Anthropic's Message Batches: requests inside the call, results at a URL of their own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.core import Core, Draft, new_id
from grabient_ops.sandbox.http import ApiError, Call, JsonObject, json_response
from grabient_ops.sandbox.intake import survey
from grabient_ops.sandbox.lifecycle import Stage, tally
from grabient_ops.sandbox.multipart import spool
from grabient_ops.sandbox.result_files import ResultFiles
from grabient_ops.sandbox.state import Batch
from grabient_ops.sandbox.wire.anthropic.lines import MessagesDialect
from grabient_ops.sandbox.wire.anthropic.models import AnthropicModels
from grabient_ops.sandbox.wire.anthropic.pages import listing, page_of

_PROVIDER = "anthropic"
_VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}


class AnthropicWire:
    """`/v1/messages/batches` and `/v1/models`."""

    id_header = "request-id"

    def __init__(self, core: Core) -> None:
        self.core = core
        self._files = ResultFiles(core)

    def routes(self) -> list[Route]:
        """Everything that this wire answers."""
        base = "/v1/messages/batches"
        table: list[Call] = [
            ("POST", base, self.create),
            ("GET", base, self.list_batches),
            ("GET", base + "/{id}", self.retrieve),
            ("DELETE", base + "/{id}", self.delete),
            ("POST", base + "/{id}/cancel", self.cancel),
            ("GET", base + "/{id}/results", self.results),
            *AnthropicModels().calls(),
        ]
        return [Route(path, call, methods=[method]) for method, path, call in table]

    async def create(self, request: Request) -> Response:
        """Accept a batch; only its ids are checked now, its requests when they are run."""
        version = _version(request)
        drawn = self.core.faults.draw_for_batch()
        if "queue_full" in drawn:
            raise ApiError(429, "Too many requests are waiting in your batches.")
        batch_id = new_id("msgbatch_")
        blob = self.core.state.blob(batch_id)
        body = self.core.state.blob(batch_id + ".upload")
        try:
            size = await spool(request.stream(), body)
            if size > limits.MOST_BYTES[_PROVIDER]:
                raise ApiError(413, "Request exceeds the maximum size")
            await run_in_threadpool(_write_lines, body, blob)
        finally:
            body.unlink(missing_ok=True)
        dialect = MessagesDialect(version)
        most = limits.MOST_REQUESTS[_PROVIDER]
        digested = self.core.digested(batch_id)
        found = await run_in_threadpool(survey, blob, dialect, most, digested)
        if found.problems:
            raise ApiError(400, f"requests: {found.problems[0]['message']}")
        if "reject" in drawn:
            found.fates[:] = b"R" * len(found.fates)
        draft = Draft(
            id=batch_id,
            provider=_PROVIDER,
            model=found.model or "",
            input_file=batch_id,
            survey=found,
            sent={"version": version},
        )
        return json_response(self._batch_object(self.core.submit(draft, drawn), request))

    async def list_batches(self, request: Request) -> Response:
        """Newest first; `after_id` goes to older ones, `before_id` to newer ones."""
        batches = {batch.id: batch for batch in self.core.listed(_PROVIDER)}
        page, more = page_of(request, list(batches))
        data = [self._batch_object(batches[batch_id], request) for batch_id in page]
        return json_response(listing(data, more=more))

    async def retrieve(self, request: Request) -> Response:
        """Say where the batch is."""
        return json_response(self._batch_object(self._batch(request, polling=True), request))

    async def cancel(self, request: Request) -> Response:
        """Stop a batch; what is finished stays."""
        batch = self.core.cancel(self._batch(request))
        return json_response(self._batch_object(batch, request))

    async def delete(self, request: Request) -> Response:
        """Hide an ended batch."""
        batch = self._batch(request)
        if not self.core.progress(batch).stage.ended:
            raise ApiError(400, "Cannot delete a batch that is still in progress.")
        self.core.state.delete_batch(batch)
        self._files.discard(batch, "all")
        return json_response({"id": batch.id, "type": "message_batch_deleted"})

    async def results(self, request: Request) -> Response:
        """Send the results of an ended batch."""
        batch = self._batch(request)
        if not self.core.progress(batch).stage.ended:
            raise ApiError(404, "The results of this batch are not available yet.")
        dialect = MessagesDialect(batch.sent["version"])
        return await self._files.download(batch, dialect, "all")

    def state_word(self, batch: Batch) -> str:
        """The provider's own word for where the batch is."""
        stage = self.core.progress(batch).stage
        if stage.ended:
            return "ended"
        return "canceling" if stage == Stage.CANCELING else "in_progress"

    def metadata(self, batch: Batch) -> JsonObject:
        """Anthropic keeps nothing of the client's."""
        del batch
        return {}

    def refusal(self, error: ApiError) -> Response:
        """Put the provider's words around a refusal."""
        kind = error.kind or _KINDS.get(error.status, "api_error")
        request_id = new_id("req_")
        content = {
            "type": "error",
            "error": {"type": kind, "message": error.message},
            "request_id": request_id,
        }
        headers = {**error.headers, self.id_header: request_id}
        return json_response(content, error.status, headers)

    def _batch(self, request: Request, *, polling: bool = False) -> Batch:
        batch_id = request.path_params["id"]
        batch = self.core.find(_PROVIDER, batch_id, polling=polling)
        if batch is None:
            raise ApiError(404, f"Message batch {batch_id} not found.")
        return batch

    def _batch_object(self, batch: Batch, request: Request) -> JsonObject:
        now = self.core.progress(batch)
        url = f"{request.base_url}v1/messages/batches/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": self.state_word(batch),
            "request_counts": self._counts(batch),
            "created_at": _rfc3339(batch.created_at),
            "expires_at": _rfc3339(batch.created_at, days=1),
            "ended_at": None if now.ended_at is None else _rfc3339(now.ended_at),
            "cancel_initiated_at": None if batch.cancel_at is None else _rfc3339(batch.cancel_at),
            "archived_at": None,
            "results_url": url if now.stage.ended else None,
        }

    def _counts(self, batch: Batch) -> JsonObject:
        """All counts but `processing` stay 0 until the whole batch has ended."""
        now = self.core.progress(batch)
        counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        if not now.stage.ended:
            return counts | {"processing": batch.total}
        lines = tally(batch, now.reached)
        return counts | {
            "succeeded": lines.answered + lines.missing,
            "errored": lines.rejected + lines.failed,
            "canceled" if now.stage == Stage.CANCELED else "expired": lines.unreached,
        }


def _version(request: Request) -> str:
    version = request.headers.get("anthropic-version", "")
    if version not in _VERSIONS:
        raise ApiError(400, f"anthropic-version: '{version}' is not a valid version")
    return version


def _write_lines(body: Path, blob: Path) -> None:
    """Turn the creation's body into the sandbox's own form, one request per line."""
    try:
        content = orjson.loads(body.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "The request body is not valid JSON.") from error
    if not isinstance(content, dict) or not isinstance(content.get("requests"), list):
        raise ApiError(400, "requests: Field required")
    unknown = [name for name in content if name not in {"requests", "user_profile_id"}]
    if unknown:
        raise ApiError(400, f"{unknown[0]}: Extra inputs are not permitted")
    if not content["requests"]:
        raise ApiError(400, "requests: List should have at least 1 item after validation, not 0")
    with blob.open("wb") as file:
        for number, entry in enumerate(content["requests"]):
            _check_entry(number, entry)
            file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))


def _check_entry(number: int, entry: object) -> None:
    where = f"requests.{number}"
    if not isinstance(entry, dict) or set(entry) != {"custom_id", "params"}:
        raise ApiError(
            400, f"{where}: custom_id and params are required, nothing else is permitted"
        )
    key = entry["custom_id"]
    if not isinstance(key, str) or not limits.CUSTOM_ID.fullmatch(key):
        raise ApiError(
            400, f"{where}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
        )
    if not isinstance(entry["params"], dict):
        raise ApiError(400, f"{where}.params: Input should be an object")


def _rfc3339(unix: float, days: int = 0) -> str:
    return (datetime.fromtimestamp(unix, UTC) + timedelta(days=days)).isoformat()
