"""OpenAI's batches, and Groq's, which are the same but for paging, error lists and usage."""

import asyncio
from collections.abc import Iterable

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
from grabient_ops.sandbox.personas.talk import Tokens
from grabient_ops.sandbox.state import Batch
from grabient_ops.sandbox.wire.openai.files import (
    OpenAIFiles,
    life_s,
    listing,
    page_of,
    result_id,
    result_parts,
)
from grabient_ops.sandbox.wire.openai.lines import ENDPOINT
from grabient_ops.sandbox.wire.openai.models import OpenAIModels

_CREATE_FIELDS = frozenset(
    {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}
)
_WINDOWS = {"openai": ("24h",), "groq": ("24h", *(f"{days}d" for days in range(1, 8)))}
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
_DRAWN_PROBLEMS = {
    "queue_full": Problem(
        "Enqueued token limit reached for this model. Limit: 2,000,000 enqueued tokens. "
        "Please try again once some in_progress batches have been completed.",
        "token_limit_exceeded",
    ),
    "reject": Problem("This line is not parseable as valid JSON.", "invalid_json_line"),
}


class OpenAIWire:
    """`/v1` of OpenAI, or `/openai/v1` of Groq."""

    id_header = "x-request-id"

    def __init__(self, core: Core, provider: str, prefix: str) -> None:
        self.core = core
        self.provider = provider
        self.prefix = prefix
        self.files = OpenAIFiles(core, provider)

    def routes(self) -> list[Route]:
        """Everything that this wire answers."""
        calls: list[Call] = [
            ("POST", "/batches", self.create),
            ("GET", "/batches", self.list_batches),
            ("GET", "/batches/{id}", self.retrieve),
            ("POST", "/batches/{id}/cancel", self.cancel),
            *OpenAIModels(self.provider).calls(),
            *self.files.calls(),
        ]
        return [Route(self.prefix + path, call, methods=[method]) for method, path, call in calls]

    async def create(self, request: Request) -> Response:
        """Accept a batch; what is wrong with its file shows on a later retrieve."""
        content = await read_json(request)
        self._check_create(content)
        life = life_s(content.get("output_expires_after"), "output_expires_after")
        file = self.files.find_input(content["input_file_id"])
        batch_id = new_id("batch_")
        found = await run_in_threadpool(
            survey,
            self.core.state.blob(file.id),
            self.files.dialect,
            limits.MOST_REQUESTS[self.provider],
            self.core.digested(batch_id),
        )
        drawn = self.core.faults.draw_for_batch()
        for fault in set(drawn) & set(_DRAWN_PROBLEMS):
            found.refuse(_DRAWN_PROBLEMS[fault], 1)
        draft = Draft(
            id=batch_id,
            provider=self.provider,
            model=found.model or "",
            input_file=file.id,
            survey=found,
            sent={
                "metadata": content.get("metadata"),
                "window": content["completion_window"],
                "life_s": life,
            },
        )
        return json_response(await self._object(self.core.submit(draft, drawn)))

    def _check_create(self, content: JsonObject) -> None:
        only_known(content, _CREATE_FIELDS)
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not isinstance(content.get(name), str):
                text = f"Missing required parameter: '{name}'."
                raise ApiError(400, text, code="missing_required_parameter", param=name)
        window, endpoint = content.get("completion_window"), content.get("endpoint")
        if window not in _WINDOWS[self.provider]:
            text = f"Invalid value: '{window}'. Known: {', '.join(_WINDOWS[self.provider])}."
            raise ApiError(400, text, code="invalid_value", param="completion_window")
        if endpoint != ENDPOINT:
            text = f"Invalid value: '{endpoint}'. The sandbox speaks only '{ENDPOINT}'."
            raise ApiError(400, text, code="invalid_value", param="endpoint")
        _check_metadata(content.get("metadata"))

    async def list_batches(self, request: Request) -> Response:
        """Newest first; OpenAI pages by `after`, Groq by `cursor`, and Groq finds many by `id`."""
        batches = self.core.listed(self.provider)
        if self.provider == "openai":
            page, more = page_of(request, batches, most=100, default=20)
            return json_response(listing(await self._objects(page), more=more))
        wanted = set(request.query_params.getlist("id"))
        if wanted:
            page, more = [batch for batch in batches if batch.id in wanted][:200], False
        else:
            page, more = page_of(request, batches, most=100, default=20, mark="cursor")
        paging = {"paging": {"next_cursor": page[-1].id}} if more else {}
        return json_response({"object": "list", "data": await self._objects(page)} | paging)

    async def retrieve(self, request: Request) -> Response:
        """Say where the batch is."""
        return json_response(await self._object(self._find(request, polling=True)))

    async def cancel(self, request: Request) -> Response:
        """Stop a batch; what is finished stays."""
        batch = self._find(request)
        stage = self.core.progress(batch).stage
        if stage.ended:
            raise ApiError(409, f"Cannot cancel a batch with status '{_STATES[stage]}'.")
        return json_response(await self._object(self.core.cancel(batch)))

    def state_word(self, batch: Batch) -> str:
        """The provider's own word for where the batch is."""
        return _STATES[self.core.progress(batch).stage]

    def metadata(self, batch: Batch) -> JsonObject:
        """What the client wrote on the batch."""
        return batch.sent["metadata"] or {}

    def refusal(self, error: ApiError) -> Response:
        """Put the provider's words around a refusal."""
        kind = error.kind or ("server_error" if error.status >= 500 else "invalid_request_error")
        fields = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
        return json_response({"error": fields}, error.status, error.headers)

    def _find(self, request: Request, *, polling: bool = False) -> Batch:
        batch_id = request.path_params["id"]
        batch = self.core.find(self.provider, batch_id, polling=polling)
        if batch is None:
            raise ApiError(404, f"No batch found with id '{batch_id}'.", param="batch_id")
        return batch

    async def _objects(self, batches: Iterable[Batch]) -> list[JsonObject]:
        return await asyncio.gather(*map(self._object, batches))

    async def _object(self, batch: Batch) -> JsonObject:
        now = self.core.progress(batch)
        lines = tally(batch, now.reached)
        files = {part: result_id(batch, part) for part in result_parts(batch, now)}
        no_errors = "" if files and "empty_error_file_id" in batch.faults else None
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": ENDPOINT,
            "model": None if now.stage == Stage.VALIDATING else batch.model or None,
            "errors": self._errors(batch) if now.stage == Stage.FAILED else None,
            "input_file_id": batch.input_file,
            "completion_window": batch.sent["window"],
            "status": _STATES[now.stage],
            "output_file_id": files.get("output"),
            "error_file_id": files.get("errors", no_errors),
            "request_counts": {
                "total": 0 if now.stage == Stage.VALIDATING else batch.total,
                "completed": lines.answered + lines.missing,
                "failed": lines.rejected + lines.failed,
            },
            "metadata": batch.sent["metadata"],
            **_times(batch, now.stage, now.ended_at),
            "expires_at": int(batch.created_at) + _seconds(batch.sent["window"]),
            **({"usage": await self._usage(batch, now)} if self.provider == "openai" else {}),
        }

    async def _usage(self, batch: Batch, now: Progress) -> JsonObject | None:
        """Add up the tokens of an ended batch; all others show zeros."""
        if "output" not in result_parts(batch, now):
            return _counted(Tokens())
        tokens = await self.files.results.tokens(batch, self.files.dialect, "output")
        return None if tokens is None else _counted(tokens)

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
        "finalizing_at": ended or created if stage in {Stage.FINALIZING, Stage.COMPLETED} else None,
        "completed_at": ended if stage == Stage.COMPLETED else None,
        "failed_at": ended if stage == Stage.FAILED else None,
        "expired_at": ended if stage == Stage.EXPIRED else None,
        "cancelling_at": None if batch.cancel_at is None else int(batch.cancel_at),
        "cancelled_at": ended if stage == Stage.CANCELED else None,
    }


def _counted(tokens: Tokens) -> JsonObject:
    return {
        "input_tokens": tokens.input_tokens,
        "input_tokens_details": {"cached_tokens": tokens.cached_tokens},
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
        "total_tokens": tokens.input_tokens + tokens.output_tokens,
    }


def _seconds(window: str) -> int:
    return _DAY_S if window == "24h" else _DAY_S * int(window.removesuffix("d"))


def _check_metadata(metadata: object) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or len(metadata) > 16:
        raise ApiError(400, "Invalid 'metadata': at most 16 pairs.", param="metadata")
    for name, value in metadata.items():
        if len(name) > 64 or not isinstance(value, str) or len(value) > 512:
            raise ApiError(400, f"Invalid 'metadata.{name}'.", param="metadata")
