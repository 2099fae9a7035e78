import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from grabient_ops.providers.base import (
    PROVIDERS,
    BatchEnded,
    BatchRunning,
    BatchState,
    Provider,
    ProviderName,
    Result,
    Submission,
)
from grabient_ops.providers.catalog import Catalog, Model, load_catalog
from grabient_ops.providers.registry import build_provider

DEFAULTS: dict[ProviderName, str] = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5-20251001",
    "google": "gemini-2.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
}
BASE_URL_VARIABLES: dict[ProviderName, str] = {
    "openai": "OPENAI_BASE_URL",
    "anthropic": "ANTHROPIC_BASE_URL",
    "google": "GOOGLE_GEMINI_BASE_URL",
    "groq": "GROQ_BASE_URL",
}
RUN_SANDBOX = "import typer; from grabient_ops.cli.sandbox import sandbox; typer.run(sandbox)"

Json = dict[str, Any]
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


def _ignore(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - stands for any method
    del args, kwargs


@dataclass
class Stub:
    """An API that gives one answer to everything, or hangs up.

    Attributes:
        pages: answers that are given first, one each.
        calls: (method, path, headers) of every request, headers in lower case.
    """

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    pages: list[object] = field(default_factory=list)
    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    clients: dict[tuple[ProviderName, str], Provider] = field(default_factory=dict, repr=False)

    def reset(self) -> None:
        """Forget what the last test did; clients are dear and stay."""
        self.hangs_up = False
        self.calls.clear()
        self.pages.clear()
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
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            lower = {name.lower(): value for name, value in self.headers.items()}
            api.calls.append((self.command, self.path, lower))
            if api.hangs_up:
                self.close_connection = True
                return
            if api.pages:
                api.answers(200, api.pages.pop(0))
            self.send_response(api.status)
            fixed = {"content-type": "application/json", "content-length": str(len(api.body))}
            for name, value in (fixed | api.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(api.body)

        do_POST = do_GET  # noqa: N815 - the name that http.server calls
        log_message = _ignore

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        handle_error = _ignore  # a client that hangs up is part of the play

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
        payload.write_bytes(encode([f"{key}-{n}" for n in range(count)], [user] * count))
        fields = {"started_at": datetime.now(UTC), "input_file_id": "files/1", **fields}
        return Submission(key, model, payload, count, **fields)

    return make


@dataclass
class Lab:
    """One sandbox for all contract tests; faults are switched on for a single test.

    Attributes:
        env: where the four APIs are.
    """

    url: str
    env: dict[str, str]
    clients: dict[tuple[ProviderName, str], Provider] = field(default_factory=dict, repr=False)
    switched_on: set[str] = field(default_factory=set)

    def faults(self, **rates: float) -> None:
        """Set some fault rates; they are gone after the test."""
        self.switched_on.update(rates)
        self._call("/sandbox/faults", rates)

    def repair(self) -> None:
        """Switch every fault off."""
        if self.switched_on:
            self.faults(**dict.fromkeys(self.switched_on, 0.0))
            self.switched_on.clear()

    def batches(self) -> dict[str, Json]:
        """What was accepted, by batch id."""
        return {batch["id"]: batch for batch in self._call("/sandbox/ledger")["batches"]}

    def provider(self, name: ProviderName, api_key: str = "key-for-tests") -> Provider:
        """A provider that talks to the sandbox."""
        if (name, api_key) not in self.clients:
            base_url = self.env[BASE_URL_VARIABLES[name]]
            client = build_provider(name, api_key=api_key, base_url=base_url)
            self.clients[name, api_key] = client
        return self.clients[name, api_key]

    def uploaded(self, provider: Provider, submission: Submission) -> Submission:
        """The submission as it is just before its creation."""
        marked = replace(submission, high_water=provider.high_water())
        return replace(marked, input_file_id=provider.upload(marked))

    def created(self, provider: Provider, submission: Submission) -> str:
        """The id of a new batch."""
        return provider.create(self.uploaded(provider, submission))

    def ended(self, provider: Provider, batch_id: str, timeout_s: float = 10.0) -> BatchState:
        """The state of a batch once it runs no more."""
        deadline = time.monotonic() + timeout_s
        while isinstance(state := provider.poll(batch_id), BatchRunning):
            assert time.monotonic() < deadline, state
            time.sleep(0.02)
        return state

    def results(self, provider: Provider, batch_id: str, folder: Path) -> list[Result]:
        """Everything that an ended batch has to say, from all its files."""
        state = self.ended(provider, batch_id)
        assert isinstance(state, BatchEnded)
        found: list[Result] = []
        for file in state.files:
            target = folder / file.name
            provider.download(batch_id, file, target)
            lines = target.read_bytes().removesuffix(b"\n").split(b"\n")
            found += [provider.read(line) for line in lines if line]
        return found

    def _call(self, path: str, content: object = None) -> Json:
        data = None if content is None else json.dumps(content).encode()
        with urlopen(self.url + path, data, timeout=60) as answer:  # noqa: S310 - loopback
            answered: Json = json.load(answer)
        return answered


@pytest.fixture(scope="session")
def lab_server() -> Iterator[Lab]:
    command = [sys.executable, "-c", RUN_SANDBOX, "--port", "0", "--json", "--latency-s", "0.05"]
    process = subprocess.Popen([*command, "--watch-parent"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    lab = Lab(ready["url"], ready["env"])
    yield lab
    lab.clients.clear()
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture
def lab(lab_server: Lab) -> Iterator[Lab]:
    """The sandbox without faults."""
    yield lab_server
    lab_server.repair()
