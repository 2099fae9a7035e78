import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from grabient_ops.providers.base import PROVIDERS, Provider, ProviderName, Submission
from grabient_ops.providers.catalog import Catalog, Model, load_catalog
from grabient_ops.providers.registry import build_provider

DEFAULTS: dict[ProviderName, str] = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5-20251001",
    "google": "gemini-2.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
}
SubmissionOf = Callable[..., Submission]

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="session")
def model_of(catalog: Catalog) -> Callable[[ProviderName], Model]:
    return lambda name: catalog.get(name, DEFAULTS[name])


@pytest.fixture(scope="session")
def offline() -> dict[ProviderName, Provider]:
    """All four providers, at an address where nobody answers."""
    return {
        name: build_provider(name, api_key="key-for-tests", base_url=NOWHERE) for name in PROVIDERS
    }


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    return tmp_path / "payload.jsonl"


@dataclass
class Stub:
    """An API that gives one answer to everything, or hangs up.

    Attributes:
        calls: (method, path, headers) of every request, headers in lower case.
    """

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    clients: dict[tuple[ProviderName, str], Provider] = field(default_factory=dict, repr=False)

    def reset(self) -> None:
        """Forget what the last test did; clients are dear and stay."""
        self.hangs_up = False
        self.calls.clear()
        self.answers(200, b"{}")

    def answers(self, status: int, body: object, **headers: str) -> None:
        """Give this answer from now on; `retry_after=` becomes the header `retry-after`."""
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def provider(self, name: ProviderName, api_key: str = "key-for-tests") -> Provider:
        """A provider that talks to this API."""
        if (name, api_key) not in self.clients:
            client = build_provider(name, api_key=api_key, base_url=self.url)
            self.clients[name, api_key] = client
        return self.clients[name, api_key]


@pytest.fixture
def stub(stub_server: Stub) -> Stub:
    """The scripted API, as new."""
    stub_server.reset()
    return stub_server


@pytest.fixture(scope="session")
def stub_server() -> Iterator[Stub]:
    api = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            self.rfile.read(int(self.headers.get("content-length") or 0))
            lower = {name.lower(): value for name, value in self.headers.items()}
            api.calls.append((self.command, self.path, lower))
            if api.hangs_up:
                self.close_connection = True
                return
            self.send_response(api.status)
            fixed = {"content-type": "application/json", "content-length": str(len(api.body))}
            for name, value in (fixed | api.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(api.body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            del args

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            """A client that hangs up is part of the play."""
            del args

    server = Server(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield api
    api.clients.clear()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def submission(payload: Path, model_of: Callable[[ProviderName], Model]) -> SubmissionOf:
    """Make a submission of two requests; fields can be given by name."""

    def make(provider: Provider, **fields: Any) -> Submission:  # noqa: ANN401
        model = model_of(provider.name)
        key = os.urandom(6).hex()
        encode = provider.encoder(model, "Answer as JSON.")
        count = fields.pop("request_count", 2)
        user = '{"hex":["#ff8800","#0044cc"]}'
        payload.write_bytes(b"".join(encode(f"{key}-{n}", user) for n in range(count)))
        fields = {"started_at": datetime.now(UTC), "input_file_id": "files/1", **fields}
        return Submission(key, model, payload, count, **fields)

    return make
