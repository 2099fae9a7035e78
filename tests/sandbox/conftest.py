"""One driver per official SDK, so that a test can be written once and run against all four."""

import io
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from anthropic import Anthropic
from google.genai import Client
from google.genai.types import HttpOptions
from groq import Groq
from openai import OpenAI
from typing_extensions import override

Row = dict[str, Any]
ENDS = {"completed", "succeeded", "ended", "failed", "expired", "cancelled"}
PALETTE = '{"hex":["#1b2a5e","#e63946","#ffd700"]}'
ENDPOINT = "/v1/chat/completions"


@dataclass(frozen=True)
class Outcome:
    """One result row, whatever the provider's form.

    Attributes:
        kind: `answered`, `rejected`, `failed` or `unreached`.
        text: the answer; empty for the other kinds.
    """

    key: str
    kind: str
    text: str
    usage: Row
    model: str


class Driver(ABC):
    """What a test does with a provider, through its SDK."""

    name: str
    model: str
    client: Any

    @abstractmethod
    def submit(self, count: int, **body: Any) -> str:  # noqa: ANN401 - any request field
        """Create a batch of `count` requests with keys `k-0`, `k-1` ...; return its id."""

    @abstractmethod
    def line(self, key: str, **body: Any) -> Row:  # noqa: ANN401 - any request field
        """One request of a batch as the provider wants it."""

    @abstractmethod
    def state(self, batch_id: str) -> str:
        """The provider's own word."""

    def close(self) -> None:
        self.client.close()

    @abstractmethod
    def cancel(self, batch_id: str) -> None: ...

    @abstractmethod
    def ids(self, page: int) -> list[str]:
        """All batch ids, newest first, fetched in pages."""

    @abstractmethod
    def lines(self, batch_id: str) -> list[bytes]:
        """The raw lines of all result files of a batch."""

    @abstractmethod
    def read(self, row: Row) -> Outcome: ...

    def ended(self, batch_id: str) -> bool:
        return self.state(batch_id).removeprefix("JOB_STATE_").lower() in ENDS

    def finish(self, batch_id: str) -> str:
        """Wait for the end and return the last word."""
        deadline = time.monotonic() + 60
        while not self.ended(batch_id):
            assert time.monotonic() < deadline, self.state(batch_id)
            time.sleep(0.01)
        return self.state(batch_id)

    def outcomes(self, batch_id: str) -> list[Outcome]:
        """Every row of an ended batch."""
        self.finish(batch_id)
        return [self.read(json.loads(line)) for line in self.lines(batch_id)]


class ChatDriver(Driver):
    """OpenAI and Groq."""

    @override
    def submit(self, count: int, **body: Any) -> str:
        return self.create(self.file([self.line(f"k-{i}", **body) for i in range(count)]))

    @override
    def line(self, key: str, **body: Any) -> Row:
        messages = [{"role": "system", "content": "JSON"}, {"role": "user", "content": PALETTE}]
        body = {"model": self.model, "messages": messages} | body
        return {"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}

    def file(self, lines: Sequence[Row]) -> str:
        content = "".join(json.dumps(line) + "\n" for line in lines)
        return self.upload(content.encode())

    def upload(self, content: bytes) -> str:
        return str(self.client.files.create(file=("in.jsonl", content), purpose="batch").id)

    def create(self, file_id: str) -> str:
        batch = self.client.batches.create(
            input_file_id=file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"grabient_submission": "abc"},
        )
        return str(batch.id)

    @override
    def state(self, batch_id: str) -> str:
        return str(self.client.batches.retrieve(batch_id).status)

    @override
    def cancel(self, batch_id: str) -> None:
        self.client.batches.cancel(batch_id)

    @override
    def read(self, row: Row) -> Outcome:
        response = row["response"]
        if response is None:
            return Outcome(row["custom_id"], "unreached", "", {}, "")
        body = response["body"]
        if response["status_code"] != 200:
            kind = "rejected" if response["status_code"] == 400 else "failed"
            return Outcome(row["custom_id"], kind, "", {}, "")
        text = body["choices"][0]["message"]["content"] or ""
        return Outcome(row["custom_id"], "answered", text, body["usage"], body["model"])


class OpenAIDriver(ChatDriver):
    name, model = "openai", "gpt-4o-mini"

    def __init__(self, url: str, key: str) -> None:
        self.client: OpenAI = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    @override
    def ids(self, page: int) -> list[str]:
        return [batch.id for batch in self.client.batches.list(limit=page)]

    @override
    def lines(self, batch_id: str) -> list[bytes]:
        batch = self.client.batches.retrieve(batch_id)
        files = filter(None, (batch.output_file_id, batch.error_file_id))
        return [line for file in files for line in self.content(file).split(b"\n") if line]

    def content(self, file_id: str) -> bytes:
        return self.client.files.content(file_id).content


class GroqDriver(ChatDriver):
    name, model = "groq", "openai/gpt-oss-20b"

    def __init__(self, url: str, key: str) -> None:
        self.client: Groq = Groq(base_url=url, api_key=key, max_retries=0)

    @override
    def ids(self, page: int) -> list[str]:
        found: list[str] = []
        query: dict[str, object] = {"limit": page}
        while True:
            answer = self.client.batches.list(extra_query=query)
            found += [batch.id for batch in answer.data]
            paging = getattr(answer, "paging", None)
            if not paging:
                return found
            query["cursor"] = paging["next_cursor"]

    @override
    def lines(self, batch_id: str) -> list[bytes]:
        batch = self.client.batches.retrieve(batch_id)
        files = filter(None, (batch.output_file_id, batch.error_file_id))
        contents = [self.client.files.content(file).read() for file in files]
        return [line for content in contents for line in content.split(b"\n") if line]


class AnthropicDriver(Driver):
    name, model = "anthropic", "claude-haiku-4-5"

    def __init__(self, url: str, key: str) -> None:
        self.client = Anthropic(base_url=url, api_key=key, max_retries=0)

    @override
    def submit(self, count: int, **body: Any) -> str:
        return self.create([self.line(f"k-{i}", **body) for i in range(count)])

    @override
    def line(self, key: str, **body: Any) -> Row:
        params = {
            "model": self.model,
            "max_tokens": 900,
            "messages": [{"role": "user", "content": PALETTE}],
        }
        return {"custom_id": key, "params": params | body}

    def create(self, requests: Sequence[Any], **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        batch = self.client.messages.batches.create(requests=requests, extra_headers=named)
        return str(batch.id)

    @override
    def state(self, batch_id: str) -> str:
        return str(self.client.messages.batches.retrieve(batch_id).processing_status)

    @override
    def cancel(self, batch_id: str) -> None:
        self.client.messages.batches.cancel(batch_id)

    @override
    def ids(self, page: int) -> list[str]:
        return [batch.id for batch in self.client.messages.batches.list(limit=page)]

    @override
    def lines(self, batch_id: str) -> list[bytes]:
        url = self.client.messages.batches.retrieve(batch_id).results_url
        assert url
        content: bytes = self.client.get(url, cast_to=bytes, options={"headers": {}})
        return [line for line in content.split(b"\n") if line]

    @override
    def read(self, row: Row) -> Outcome:
        result = row["result"]
        if result["type"] == "succeeded":
            message = result["message"]
            text = "".join(part["text"] for part in message["content"] if part["type"] == "text")
            return Outcome(row["custom_id"], "answered", text, message["usage"], message["model"])
        if result["type"] != "errored":
            return Outcome(row["custom_id"], "unreached", "", {}, "")
        final = result["error"]["error"]["type"] in {"invalid_request_error", "not_found_error"}
        return Outcome(row["custom_id"], "rejected" if final else "failed", "", {}, "")


class GoogleDriver(Driver):
    name, model = "google", "gemini-2.5-flash-lite"

    def __init__(self, url: str, key: str) -> None:
        self.client = Client(api_key=key, http_options=HttpOptions(base_url=url, timeout=20_000))

    @override
    def submit(self, count: int, **body: Any) -> str:
        return self.create(self.file([self.line(f"k-{i}", **body) for i in range(count)]))

    @override
    def line(self, key: str, **body: Any) -> Row:
        request = {"contents": [{"role": "user", "parts": [{"text": PALETTE}]}]} | body
        return {"key": key, "request": request}

    def file(self, lines: Sequence[Row], **config: str) -> str:
        content = "".join(json.dumps(line) + "\n" for line in lines)
        return self.upload(content.encode(), **config)

    def upload(self, content: bytes, **config: str) -> str:
        settings: Any = {"mime_type": "jsonl", "display_name": "in", **config}
        return str(self.client.files.upload(file=io.BytesIO(content), config=settings).name)

    def create(self, file: str, model: str | None = None) -> str:
        batch = self.client.batches.create(
            model=model or self.model, src=file, config={"display_name": "abc"}
        )
        return str(batch.name)

    @override
    def state(self, batch_id: str) -> str:
        state = self.client.batches.get(name=batch_id).state
        assert state
        return str(state.value)

    @override
    def cancel(self, batch_id: str) -> None:
        self.client.batches.cancel(name=batch_id)

    @override
    def ids(self, page: int) -> list[str]:
        return [str(job.name) for job in self.client.batches.list(config={"page_size": page})]

    @override
    def lines(self, batch_id: str) -> list[bytes]:
        dest = self.client.batches.get(name=batch_id).dest
        if dest is None or dest.file_name is None:
            return []
        content = self.client.files.download(file=dest.file_name)
        return [line for line in content.split(b"\n") if line]

    @override
    def read(self, row: Row) -> Outcome:
        if "error" in row:
            code = row["error"]["code"]
            kind = {1: "unreached", 3: "rejected"}.get(code, "failed")
            return Outcome(row["key"], kind, "", {}, "")
        response = row["response"]
        candidates = response.get("candidates") or [{"content": {"parts": [{"text": ""}]}}]
        text = candidates[0]["content"]["parts"][-1]["text"]
        usage, model = response["usageMetadata"], response["modelVersion"]
        return Outcome(row["key"], "answered", text, usage, model)


DRIVERS: dict[str, Callable[[str, str], Driver]] = {
    "openai": OpenAIDriver,
    "groq": GroqDriver,
    "anthropic": AnthropicDriver,
    "google": GoogleDriver,
}
Drive = Callable[..., Any]


@pytest.fixture(scope="session")
def drive() -> Iterator[Drive]:
    """Give a driver: `drive(provider, url)`. An SDK client takes 0.1 s to make, so it is kept."""
    with ExitStack() as stack:

        @cache
        def make(provider: str, url: str, key: str = "sandbox") -> Driver:
            driver = DRIVERS[provider](url, key)
            stack.callback(driver.close)
            return driver

        yield make


@pytest.fixture(params=sorted(DRIVERS))
def provider(request: pytest.FixtureRequest) -> str:
    """Each of the four, one after the other."""
    return str(request.param)
