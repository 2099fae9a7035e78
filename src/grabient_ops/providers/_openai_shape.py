"""The wire that OpenAI and Groq share; `openai.py` and `groq.py` only bring their SDK to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, assert_never
from weakref import finalize

from grabient_ops.errors import InvalidRequestError
from grabient_ops.providers import _wire
from grabient_ops.providers._errors import Edge
from grabient_ops.providers._openai_rows import read_row
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

if TYPE_CHECKING:
    from groq import Groq
    from openai import OpenAI

URL: Final = "/v1/chat/completions"
MARK = "grabient_submission"
"""The metadata key that carries `Submission.key`; listings echo it."""

_HOW: dict[str, Literal["completed", "failed", "expired", "canceled"]] = {
    "completed": "completed",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "canceled",
}


class OpenAIShape:
    """A provider that speaks OpenAI's files and batches.

    Args:
        name: `openai` or `groq`.
        client: its SDK's client, retries off.
        edge: how its exceptions become ours.
        timeout: seconds -> the SDK's time-out object.
        first_page: query of the first page of a listing.
    """

    echoes_key = True

    def __init__(
        self,
        name: ProviderName,
        client: OpenAI | Groq,
        edge: Edge,
        timeout: Callable[[float], Any],
        first_page: Mapping[str, str],
    ) -> None:
        self.name: ProviderName = name
        self._client = client
        finalize(self, client.close)  # an SDK closes only HTTP clients of its own making
        self._edge = edge
        self._timeout = timeout
        self._first_page = first_page

    def encoder(
        self,
        model: Model,
        system: str,
        schema: Mapping[str, Any] | None = None,
        pictures: PictureForm | None = None,
    ) -> Encoder:
        """See `Provider.encoder`."""

        def line(custom_id: str, user: str, picture: str) -> dict[str, Any]:
            content = _content(user, picture, pictures)
            return {
                "custom_id": custom_id,
                "method": "POST",
                "url": URL,
                "body": _body(model, system, schema, content),
            }

        return _wire.splicer(line)

    def upload(self, submission: Submission) -> str | None:
        """See `Provider.upload`."""
        with self._edge.crossing(), submission.payload.open("rb") as payload:
            answer = self._client.files.with_raw_response.create(
                file=(f"{submission.key}.jsonl", payload),
                purpose="batch",
                timeout=self._timeout(_wire.TRANSFER_S),
            )
            return self._edge.text(self._edge.json(answer.http_response.content), "id")

    def high_water(self) -> str | None:
        """See `Provider.high_water`: not needed, the metadata is echoed."""
        return None

    def create(self, submission: Submission) -> str:
        """See `Provider.create`."""
        with self._edge.crossing():
            answer = self._client.batches.with_raw_response.create(
                input_file_id=submission.input_file_id or "",
                endpoint=URL,
                completion_window="24h",
                metadata={MARK: submission.key},
                timeout=self._timeout(_wire.CREATE_S),
            )
            return self._edge.text(self._edge.json(answer.http_response.content), "id")

    def find(self, submission: Submission) -> Sequence[FoundBatch]:
        """See `Provider.find`."""
        with self._edge.crossing():
            listed = list(_wire.since(submission.started_at, self._batches(), _created_at))
        found = [(created, batch["id"]) for created, batch in listed if _is_ours(batch, submission)]
        return [FoundBatch(batch_id, certain=True) for _, batch_id in sorted(found)]

    def poll(self, batch_id: str) -> BatchState:
        """See `Provider.poll`."""
        with self._edge.crossing():
            answer = self._client.batches.with_raw_response.retrieve(batch_id)
            return batch_state(self._edge.json(answer.http_response.content))

    def cancel(self, batch_id: str) -> None:
        """See `Provider.cancel`."""
        try:
            with self._edge.crossing():
                self._client.batches.with_raw_response.cancel(batch_id)
        except InvalidRequestError:
            if isinstance(self.poll(batch_id), BatchRunning):
                raise

    def download(self, batch_id: str, file: ResultFile, target: Path) -> None:
        """See `Provider.download`."""
        del batch_id  # the file id is enough
        with (
            self._edge.crossing(),
            self._client.files.with_streaming_response.content(
                file.ref, timeout=self._timeout(_wire.TRANSFER_S)
            ) as answer,
            _wire.written(target) as sink,
        ):
            sink.writelines(answer.iter_bytes())

    def read(self, line: bytes) -> Result:
        """See `Provider.read`."""
        return _wire.read_line(line, "custom_id", read_row)

    def _batches(self) -> Iterator[list[Any]]:
        query: Mapping[str, str] | None = self._first_page
        while query is not None:
            answer = self._client.batches.with_raw_response.list(extra_query=query)
            page = self._edge.json(answer.http_response.content)
            yield _wire.list_at(page, "data")
            query = _next_page(query, page)


def _content(user: str, picture: str, form: PictureForm | None) -> str | list[Any]:
    match form:
        case None:
            return user
        case "url":
            url = picture
        case "inline":
            url = f"data:image/png;base64,{picture}"
        case _:
            assert_never(form)
    # Stripes need no sharp eyes; on older models a sharp look costs ten times as much.
    shown = {"url": url, "detail": "low"}
    return [{"type": "image_url", "image_url": shown}, {"type": "text", "text": user}]


def _body(
    model: Model, system: str, schema: Mapping[str, Any] | None, content: str | list[Any]
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model.id,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": content},
        ],
        model.max_tokens_parameter: model.max_output_tokens,
    }
    if model.temperature is not None:
        body["temperature"] = model.temperature
    if schema is not None and model.structured_output == "json_schema":
        named = {"name": "answer", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    elif schema is not None and model.structured_output == "json_object":
        body["response_format"] = {"type": "json_object"}
    return _wire.merged(body, model.extra)


def _next_page(query: Mapping[str, str], page: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Groq names a cursor, OpenAI goes on after the last id; None at the end."""
    cursor = _wire.text_at(page, "paging", "next_cursor")
    last = _wire.text_at(page, "data", -1, "id")
    if cursor:
        following = {**query, "cursor": cursor}
    elif page.get("has_more") and last:
        following = {**query, "after": last}
    else:
        return None
    return following if following != query else None


def _created_at(batch: object) -> object:
    return _wire.at(batch, "created_at")


def _is_ours(batch: object, submission: Submission) -> bool:
    marked = _wire.at(batch, "metadata", MARK) == submission.key
    same_file = (
        submission.input_file_id is not None
        and _wire.at(batch, "input_file_id") == submission.input_file_id
    )
    return (marked or same_file) and _wire.text_at(batch, "id") is not None


def batch_state(batch: Mapping[str, Any]) -> BatchState:
    """What a batch object says, in our words."""
    files = _files(batch)
    match batch.get("status"):
        case "validating" | "in_progress" | "finalizing":
            return _running(batch)
        case "cancelling":
            return _running(batch, canceling=True)
        case "failed" if not files:
            return BatchRejected(_reasons(batch) or "no reason given", _is_queue_full(batch))
        case "completed" | "failed" | "expired" | "cancelled" as status:
            return BatchEnded(_HOW[status], files, _reasons(batch))
        case unfamiliar:
            return _running(batch, unfamiliar=_wire.verbatim(unfamiliar))


def _running(
    batch: Mapping[str, Any], *, canceling: bool = False, unfamiliar: str | None = None
) -> BatchRunning:
    return BatchRunning(
        completed=_wire.count_at(batch, "request_counts", "completed"),
        failed=_wire.count_at(batch, "request_counts", "failed"),
        canceling=canceling,
        unfamiliar=unfamiliar,
    )


def _files(batch: Mapping[str, Any]) -> tuple[ResultFile, ...]:
    """Absent files are null, missing or an empty string."""
    ids = {"output": batch.get("output_file_id"), "errors": batch.get("error_file_id")}
    return tuple(ResultFile(name, ref) for name, ref in ids.items() if ref and isinstance(ref, str))


def _errors(batch: Mapping[str, Any]) -> list[Any]:
    """OpenAI wraps the list in `data`; Groq's is bare."""
    return _wire.list_at(batch, "errors") or _wire.list_at(batch, "errors", "data")


def _reasons(batch: Mapping[str, Any]) -> str | None:
    texts = []
    for error in _errors(batch):
        line = _wire.count_at(error, "line")
        text = _wire.text_at(error, "message") or _wire.text_at(error, "code")
        text = text or _wire.verbatim(error)
        texts.append(f"{text} (line {line})" if line else text)
    return " ".join("; ".join(texts[:5]).split()) or None


def _is_queue_full(batch: Mapping[str, Any]) -> bool:
    return any(_wire.at(error, "code") == "token_limit_exceeded" for error in _errors(batch))
