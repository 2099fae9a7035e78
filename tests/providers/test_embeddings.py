import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from benchmarks.arena import Sandbox
from grabient_ops.errors import AuthenticationError, InvalidRequestError, UnavailableError
from grabient_ops.providers.embeddings import EndpointEmbedder

Answering = Callable[[Any], str]


def _embedder(sandbox: Sandbox, key: str | None = "key") -> EndpointEmbedder:
    return EndpointEmbedder(f"{sandbox.url}/v1", "text-embedding-3-small", key)


def test_every_text_gets_its_own_unit_vector(shared_sandbox: Sandbox) -> None:
    texts = [f"word{number} calm" for number in range(600)]
    vectors = _embedder(shared_sandbox).embed(texts)

    assert vectors.shape == (600, 64)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = _embedder(shared_sandbox).embed([texts[0], "凉 \udcff", texts[599]])
    np.testing.assert_allclose(alone[[0, 2]], vectors[[0, 599]], atol=1e-6)


def test_no_text_is_no_call() -> None:
    assert EndpointEmbedder("http://127.0.0.1:1", "m", None).embed([]).shape == (0, 0)


def test_a_passing_failure_is_tried_again(shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(unavailable=0.4)

    assert _embedder(shared_sandbox).embed(["calm"]).shape == (1, 64)


def test_a_wrong_key_is_told_and_stays_secret(shared_sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationError, match="Incorrect API key") as caught:
        _embedder(shared_sandbox, "invalid-secret").embed(["calm"])

    assert "invalid-secret" not in str(caught.value)


def test_what_the_api_refuses_is_told(shared_sandbox: Sandbox) -> None:
    with pytest.raises(InvalidRequestError, match="input"):
        _embedder(shared_sandbox).embed([""])


def test_an_api_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grabient_ops.providers.embeddings._RETRIES", 0)

    with pytest.raises(UnavailableError, match="embeddings"):
        EndpointEmbedder("http://127.0.0.1:1/v1", "m", None).embed(["calm"])


@pytest.fixture
def serve() -> Iterator[Callable[[str], str]]:
    """Starts a server that gives the same answer to everything; returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(answer.encode())

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _data(*rows: object) -> str:
    return json.dumps({"data": [{"index": i, "embedding": row} for i, row in enumerate(rows)]})


@pytest.mark.parametrize(
    "answer",
    [
        "<html>", "[]", "{}", '{"data": 3}', _data([1.0]), _data([1.0], [1.0], [1.0]),
        _data([1.0], "text"), _data([1.0], []), _data([1.0], [1.0, 2.0]), _data([1.0], [None]),
        _data([1.0], [float("nan")]), '{"data": [{"index": 5, "embedding": [1]}, 7]}',
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_no_vector(serve: Callable[[str], str], answer: str) -> None:
    embedder = EndpointEmbedder(serve(answer), "m", None)

    with pytest.raises(UnavailableError):
        embedder.embed(["one", "two"])


def test_vectors_come_in_the_order_of_their_indices(serve: Callable[[str], str]) -> None:
    rows = [{"index": 1, "embedding": [0, 3]}, {"index": 0, "embedding": [4, 0]}]
    vectors = EndpointEmbedder(serve(json.dumps({"data": rows})), "m", None).embed(["a", "b"])

    assert vectors.tolist() == [[1, 0], [0, 1]]
