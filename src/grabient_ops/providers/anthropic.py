"""Anthropic's Message Batches, through its SDK; nothing of ours is echoed by their listing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, assert_never
from urllib.parse import urljoin, urlsplit
from weakref import finalize

import httpx2
from anthropic import Anthropic, AnthropicError, DefaultHttpxClient, Timeout

from grabient_ops.errors import InvalidRequestError, ProviderError
from grabient_ops.providers import _wire
from grabient_ops.providers._anthropic_rows import read_row
from grabient_ops.providers._errors import Edge
from grabient_ops.providers.base import (
    BatchEnded,
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

VERSION = "2023-06-01"
"""The last API version that knows `temperature`; the SDK's own removed it (SDK 2.12)."""

_PATH = "/v1/messages/batches"
_PAGE = 1000


def connect(api_key: str, base_url: str | None) -> "AnthropicBatches":
    """Open a client that never repeats a call by itself: the SDK would create batches twice."""
    client = Anthropic(
        api_key=api_key,
        base_url=base_url,
        max_retries=0,
        timeout=_timeout(_wire.POLL_S),
        default_headers={"anthropic-version": VERSION},
        http_client=DefaultHttpxClient(event_hooks={"request": [through_gate]}),
    )
    edge = Edge("anthropic", api_key, (AnthropicError, httpx2.HTTPError, httpx2.InvalidURL))
    return AnthropicBatches(client, edge)


class AnthropicBatches:
    """Message Batches; see `Provider` for what each method promises."""

    name: ProviderName = "anthropic"
    echoes_key = False

    def __init__(self, client: Anthropic, edge: Edge) -> None:
        self._client = client
        self._edge = edge
        finalize(self, client.close)  # an SDK closes only HTTP clients of its own making

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
            return {"custom_id": custom_id, "params": _params(model, system, schema, content)}

        return _wire.splicer(line)

    def upload(self, submission: Submission) -> str | None:
        """See `Provider.upload`: `create` sends the payload itself."""
        del submission
        return None

    def high_water(self) -> str | None:
        """See `Provider.high_water`."""
        with self._edge.crossing():
            page = self._page({"limit": "1"})
        return _wire.text_at(page, "data", 0, "id") or ""

    def create(self, submission: Submission) -> str:
        """See `Provider.create`; the payload's lines become the body as they are."""
        lines = submission.payload.read_bytes().removesuffix(b"\n")
        body = b'{"requests":[' + lines.replace(b"\n", b",") + b"]}"
        with self._edge.crossing():
            answer = self._client.post(
                _PATH,
                cast_to=httpx2.Response,
                content=body,
                options={"timeout": _timeout(_wire.TRANSFER_S)},
            )
            return self._edge.text(self._edge.json(answer.content), "id")

    def find(self, submission: Submission) -> Sequence[FoundBatch]:
        """See `Provider.find`: by time and size only, so never certain."""
        with self._edge.crossing():
            pages = self._newer_than(submission.high_water)
            listed = list(_wire.since(submission.started_at, pages, _created_at))
        found = [
            (created, batch["id"])
            for created, batch in listed
            if _size(batch) == submission.request_count and _wire.text_at(batch, "id")
        ]
        return [FoundBatch(batch_id, certain=False) for _, batch_id in sorted(found)]

    def poll(self, batch_id: str) -> BatchState:
        """See `Provider.poll`."""
        with self._edge.crossing():
            answer = self._client.messages.batches.with_raw_response.retrieve(batch_id)
            batch = self._edge.json(answer.http_response.content)
        url = batch.get("results_url")
        return batch_state(batch, self._at_home(url) if isinstance(url, str) and url else None)

    def cancel(self, batch_id: str) -> None:
        """See `Provider.cancel`."""
        try:
            with self._edge.crossing():
                self._client.messages.batches.with_raw_response.cancel(batch_id)
        except InvalidRequestError:
            if isinstance(self.poll(batch_id), BatchRunning):
                raise

    def download(self, batch_id: str, file: ResultFile, target: Path) -> None:
        """See `Provider.download`."""
        self._at_home(file.ref)
        with (
            self._edge.crossing(),
            self._client.messages.batches.with_streaming_response.results(
                batch_id, timeout=_timeout(_wire.TRANSFER_S)
            ) as answer,
            _wire.written(target) as sink,
        ):
            sink.writelines(answer.iter_bytes())

    def read(self, line: bytes) -> Result:
        """See `Provider.read`."""
        return _wire.read_line(line, "custom_id", read_row)

    def _newer_than(self, high_water: str | None) -> Iterator[list[Any]]:
        """Pages of batches, newest first, down to the mark."""
        query = {"limit": _PAGE}
        while True:
            page = self._page(query)
            batches = _wire.list_at(page, "data")
            ids = [_wire.at(batch, "id") for batch in batches]
            if high_water in ids:
                yield batches[: ids.index(high_water)]
                return
            yield batches
            if not page.get("has_more") or not ids or query.get("after_id") == ids[-1]:
                return
            query = {"limit": _PAGE, "after_id": ids[-1]}

    def _page(self, query: Mapping[str, object]) -> dict[str, Any]:
        answer = self._client.messages.batches.with_raw_response.list(extra_query=query)
        return self._edge.json(answer.http_response.content)

    def _at_home(self, url: str) -> str:
        """Return a results URL unless it would carry our key to another host."""
        home = urlsplit(str(self._client.base_url))
        absolute = urljoin(str(self._client.base_url), url)
        if (urlsplit(absolute).scheme, urlsplit(absolute).netloc) != (home.scheme, home.netloc):
            host = urlsplit(absolute).netloc
            raise ProviderError("anthropic", f"results lie at another host, {host}: not fetched")
        return absolute


def batch_state(batch: Mapping[str, Any], results_url: str | None) -> BatchState:
    """What a batch object says, in our words; counts are 0 until the batch has ended."""
    match batch.get("processing_status"):
        case "in_progress":
            return BatchRunning()
        case "canceling":
            return BatchRunning(canceling=True)
        case "ended" if results_url is None and _count(batch, "succeeded"):
            return BatchRunning(resultless=True)  # paid answers exist, only their address is late
        case "ended":
            files = (ResultFile("output", results_url),) if results_url else ()
            return BatchEnded(_how(batch), files)
        case unfamiliar:
            return BatchRunning(unfamiliar=_wire.verbatim(unfamiliar))


def _how(batch: Mapping[str, Any]) -> Literal["completed", "expired", "canceled"]:
    if batch.get("cancel_initiated_at") and _count(batch, "canceled"):
        return "canceled"
    return "expired" if _count(batch, "expired") else "completed"


def _count(batch: Mapping[str, Any], kind: str) -> int:
    return _wire.count_at(batch, "request_counts", kind)


def _size(batch: object) -> int:
    counts = _wire.at(batch, "request_counts")
    return sum(_wire.count_at(counts, kind) for kind in counts or ())


def _created_at(batch: object) -> object:
    return _wire.at(batch, "created_at")


def _content(user: str, picture: str, form: PictureForm | None) -> str | list[Any]:
    match form:
        case None:
            return user
        case "url":
            source = {"type": "url", "url": picture}
        case "inline":
            source = {"type": "base64", "media_type": "image/png", "data": picture}
        case _:
            assert_never(form)
    return [{"type": "image", "source": source}, {"type": "text", "text": user}]


def _params(
    model: Model, system: str, schema: Mapping[str, Any] | None, content: str | list[Any]
) -> dict[str, Any]:
    params: dict[str, Any] = {
        "model": model.id,
        model.max_tokens_parameter: model.max_output_tokens,
        "system": system,
        "messages": [{"role": "user", "content": content}],
    }
    if model.temperature is not None:
        params["temperature"] = model.temperature
    if schema is not None and model.structured_output == "json_schema":
        params["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return _wire.merged(params, model.extra)


def _timeout(seconds: float) -> Timeout:
    return Timeout(seconds, connect=_wire.CONNECT_S)
