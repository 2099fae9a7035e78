"""Traces of a whole pass, as a collector receives them."""

import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import override

from benchmarks.arena import Home

if TYPE_CHECKING:
    from tests.conftest import SandboxStarter

Bodies = queue.Queue[bytes]


@pytest.fixture
def collector() -> Iterator[tuple[str, Bodies]]:
    """An OTLP collector: its root, and what it has received."""
    bodies: Bodies = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            bodies.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        @override
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_steps_and_calls_of_providers_are_spans(
    tmp_path: Path, sandbox_starter: "SandboxStarter", collector: tuple[str, Bodies]
) -> None:
    url, bodies = collector
    home = Home(tmp_path / "home", {**sandbox_starter().env, "GRABIENT_OPS_OTLP_URL": url})
    home.add_palettes(1)

    home.run("tag", "--model", "gpt-4o-mini", "--wait")

    names = {name for _ in range(bodies.qsize()) for name in _span_names(bodies.get())}
    assert {"batch", "upload", "create", "collect"} <= names
    assert {"openai.upload", "openai.create", "openai.poll", "openai.download"} <= names


def _span_names(body: bytes) -> list[str]:
    import gzip

    raw = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    request = ExportTraceServiceRequest.FromString(raw)
    return [
        span.name
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
