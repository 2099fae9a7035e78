"""Google's Gemini batches (Developer API, file mode), through the google-genai SDK.

The SDK's `BatchJob` drops a batch's progress, error and input file (genai 3.4, batches.py:327), so
`poll` and `find` read the JSON itself, over the same HTTP client.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, assert_never
from weakref import finalize

import httpx2
from google.genai import Client
from google.genai.errors import APIError
from google.genai.types import (
    CreateBatchJobConfig,
    DownloadFileConfig,
    HttpOptions,
    HttpRetryOptions,
    UploadFileConfig,
)

from grabient_ops.errors import ConfigError, InvalidRequestError
from grabient_ops.providers import _wire
from grabient_ops.providers._errors import Edge
from grabient_ops.providers._google_rows import read_row
from grabient_ops.providers.base import (
    BatchEnded,
    BatchRejected,
    BatchRunning,
    BatchState,
    Encoder,
    FoundBatch,
    ProviderName,
    Result,
    ResultFile,
    Submission,
)
from grabient_ops.providers.catalog import Model, PictureForm
from grabient_ops.providers.gate import through_gate

_HOST = "https://generativelanguage.googleapis.com"
_VERSION = "v1"
_PAGE = 100
_ALREADY_EXISTS = 409
_RESOURCE_EXHAUSTED = 8
# What the SDK raises when an answer has another shape, or more levels, than it expects.
_SURPRISES = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_RUNNING = {"UNSPECIFIED", "PENDING", "QUEUED", "RUNNING", "PAUSED", "UPDATING"}
_HOW: dict[str, Literal["completed", "failed", "canceled", "expired"]] = {
    "SUCCEEDED": "completed",
    "PARTIALLY_SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLED": "canceled",
    "EXPIRED": "expired",
}


def connect(api_key: str, base_url: str | None) -> "GeminiBatches":
    """Open a client that never repeats a call by itself: a creation is not idempotent."""
    root = (base_url or _HOST).rstrip("/")
    http = httpx2.Client(
        base_url=f"{root}/{_VERSION}/",
        headers={"x-goog-api-key": api_key},
        timeout=httpx2.Timeout(_wire.POLL_S, connect=_wire.CONNECT_S),
        event_hooks={"request": [_connect_soon, through_gate]},
    )
    options = HttpOptions(
        base_url=root,
        api_version=_VERSION,
        httpx_client=http,
        timeout=_ms(_wire.POLL_S),
        retry_options=HttpRetryOptions(attempts=1),
    )
    client = Client(vertexai=False, api_key=api_key, http_options=options)
    edge = Edge("google", api_key, (APIError, httpx2.HTTPError, httpx2.InvalidURL, *_SURPRISES))
    return GeminiBatches(client, http, edge)


class GeminiBatches:
    """Gemini batches; see `Provider` for what each method promises."""

    name: ProviderName = "google"
    echoes_key = True

    def __init__(self, client: Client, http: httpx2.Client, edge: Edge) -> None:
        self._client = client  # kept: a client closes its connections when it is collected
        self._http = http
        self._edge = edge
        finalize(self, http.close)  # an SDK closes only HTTP clients of its own making

    def encoder(
        self,
        model: Model,
        system: str,
        schema: Mapping[str, Any] | None = None,
        pictures: PictureForm | None = None,
    ) -> Encoder:
        """See `Provider.encoder`."""

        def line(custom_id: str, user: str, picture: str) -> dict[str, Any]:
            parts = _parts(user, picture, pictures)
            return {"key": custom_id, "request": _request(model, system, schema, parts)}

        return _wire.splicer(line)

    def upload(self, submission: Submission) -> str | None:
        """See `Provider.upload`: the name is ours, so a second upload finds the first."""
        name = f"files/{submission.key}"
        config = UploadFileConfig(
            name=name,
            display_name=submission.key,
            mime_type="jsonl",
            http_options=HttpOptions(timeout=_ms(_wire.TRANSFER_S)),
        )
        with self._edge.crossing():
            try:
                file = self._client.files.upload(file=submission.payload, config=config)
            except APIError as error:
                if error.code == _ALREADY_EXISTS:
                    return name
                raise
            return file.name or name

    def high_water(self) -> str | None:
        """See `Provider.high_water`: not needed, the display name is echoed."""
        return None

    def create(self, submission: Submission) -> str:
        """See `Provider.create`."""
        config = CreateBatchJobConfig(
            display_name=submission.key,
            http_options=HttpOptions(timeout=_ms(_wire.CREATE_S)),
        )
        with self._edge.crossing():
            job = self._client.batches.create(
                model=submission.model.id, src=submission.input_file_id or "", config=config
            )
            return self._edge.text({"name": job.name}, "name")

    def find(self, submission: Submission) -> Sequence[FoundBatch]:
        """See `Provider.find`."""
        with self._edge.crossing():
            listed = list(_wire.since(submission.started_at, self._batches(), _created_at))
        found = [
            (created, batch["name"]) for created, batch in listed if _is_ours(batch, submission)
        ]
        return [FoundBatch(name, certain=True) for _, name in sorted(found)]

    def poll(self, batch_id: str) -> BatchState:
        """See `Provider.poll`."""
        with self._edge.crossing():
            return batch_state(self._get(batch_id, {}))

    def cancel(self, batch_id: str) -> None:
        """See `Provider.cancel`."""
        try:
            with self._edge.crossing():
                self._client.batches.cancel(name=batch_id)
        except InvalidRequestError:
            if isinstance(self.poll(batch_id), BatchRunning):
                raise

    def download(self, batch_id: str, file: ResultFile, target: Path) -> None:
        """See `Provider.download`."""
        del batch_id  # the file name is enough
        config = DownloadFileConfig(http_options=HttpOptions(timeout=_ms(_wire.TRANSFER_S)))
        with self._edge.crossing(), _wire.written(target) as sink:
            self._client.files.download(file=file.ref, destination=sink, config=config)

    def read(self, line: bytes) -> Result:
        """See `Provider.read`."""
        return _wire.read_line(line, "key", read_row)

    def _batches(self) -> Iterator[list[Any]]:
        query = {"pageSize": str(_PAGE)}
        while True:
            page = self._get("batches", query)
            yield _wire.list_at(page, "operations")
            token = _wire.text_at(page, "nextPageToken")
            if token is None or token == query.get("pageToken"):
                return
            query["pageToken"] = token

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        answer = self._http.get(path, params=query)
        APIError.raise_for_response(answer)
        return self._edge.json(answer.content)


def batch_state(operation: Mapping[str, Any]) -> BatchState:
    """What a batch operation says, in our words; an end without results is no end yet."""
    files = _files(operation)
    match _state(operation):
        case "SUCCEEDED" | "PARTIALLY_SUCCEEDED" if not files:
            return replace(_running(operation), resultless=True)
        case "FAILED" if not files:
            return BatchRejected(
                _message(operation) or "no reason given", queue_full=_is_queue_full(operation)
            )
        case state if state in _HOW:
            return BatchEnded(_HOW[state], files, _message(operation))
        case "CANCELLING":
            return _running(operation, canceling=True)
        case state if state in _RUNNING:
            return _running(operation)
        case state:
            return _running(operation, unfamiliar=state)


def _state(operation: Mapping[str, Any]) -> str:
    """The state without its prefix (`BATCH_STATE_`, older `JOB_STATE_`)."""
    if state := _wire.text_at(operation, "metadata", "state"):
        return state.partition("_STATE_")[2] or state
    return "FAILED" if operation.get("error") else "UNSPECIFIED"


def _running(
    operation: Mapping[str, Any], *, canceling: bool = False, unfamiliar: str | None = None
) -> BatchRunning:
    stats = _wire.at(operation, "metadata", "batchStats")
    return BatchRunning(
        completed=_wire.count_at(stats, "successfulRequestCount"),
        failed=_wire.count_at(stats, "failedRequestCount"),
        canceling=canceling,
        unfamiliar=unfamiliar,
    )


def _files(operation: Mapping[str, Any]) -> tuple[ResultFile, ...]:
    output = _wire.at(operation, "metadata", "output") or operation.get("response")
    ref = _wire.text_at(output, "responsesFile")
    return (ResultFile("output", ref),) if ref else ()


def _message(operation: Mapping[str, Any]) -> str | None:
    error = operation.get("error") or _wire.at(operation, "metadata", "error")
    message = _wire.text_at(error, "message") or (_wire.verbatim(error) if error else "")
    return " ".join(message.split()) or None


def _is_queue_full(operation: Mapping[str, Any]) -> bool:
    return _wire.count_at(operation, "error", "code") == _RESOURCE_EXHAUSTED


def _created_at(operation: object) -> object:
    return _wire.at(operation, "metadata", "createTime")


def _is_ours(operation: object, submission: Submission) -> bool:
    metadata = _wire.at(operation, "metadata")
    named = _wire.at(metadata, "displayName") == submission.key
    same_file = (
        submission.input_file_id is not None
        and _wire.at(metadata, "inputConfig", "fileName") == submission.input_file_id
    )
    return (named or same_file) and _wire.text_at(operation, "name") is not None


def _parts(user: str, picture: str, form: PictureForm | None) -> list[Any]:
    match form:
        case None:
            return [{"text": user}]
        case "url":
            raise ConfigError("Gemini fetches no pictures in a batch; send them inline")
        case "inline":
            shown = {"inlineData": {"mimeType": "image/png", "data": picture}}
            return [shown, {"text": user}]
        case _:
            assert_never(form)


def _request(
    model: Model, system: str, schema: Mapping[str, Any] | None, parts: list[Any]
) -> dict[str, Any]:
    config: dict[str, Any] = {model.max_tokens_parameter: model.max_output_tokens}
    if model.temperature is not None:
        config["temperature"] = model.temperature
    if schema is not None and model.structured_output != "none":
        config["responseMimeType"] = "application/json"
    if schema is not None and model.structured_output == "json_schema":
        config["responseJsonSchema"] = schema
    request = {
        "systemInstruction": {"parts": [{"text": system}]},
        "contents": [{"role": "user", "parts": parts}],
        "generationConfig": config,
    }
    return _wire.merged(request, model.extra)


def _connect_soon(request: httpx2.Request) -> None:
    """The SDK knows one time-out for everything; a connection must not take as long as a file."""
    request.extensions["timeout"] = {
        **request.extensions.get("timeout", {}),
        "connect": _wire.CONNECT_S,
    }


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
