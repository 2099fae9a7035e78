import json
import queue
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import pytest
from typing_extensions import override

from grabient_ops.errors import InputError
from grabient_ops.sandbox.webhooks import read_receiver

if TYPE_CHECKING:
    from tests.conftest import SandboxStarter
    from tests.sandbox.conftest import Drive

SECRET = "whsec_" + b64encode(b"of the sandbox").decode()


class Received(NamedTuple):
    """One webhook."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Ear:
    """Listens to webhooks; answers the first ones with errors, if asked to."""

    def __init__(self, errors: int = 0) -> None:
        self.heard: queue.Queue[Received] = queue.Queue()
        self.errors = errors
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                names = {name.lower(): value for name, value in self.headers.items()}
                ear.heard.put(Received(self.path, names, body))
                ear.errors -= 1
                self.send_response(503 if ear.errors >= 0 else 200)
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def next(self) -> Received:
        return self.heard.get(timeout=20)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.close()


def test_the_end_of_a_batch_is_told_as_each_provider_tells_it(
    ear: Ear, sandbox_starter: "SandboxStarter", drive: "Drive"
) -> None:
    sandbox = sandbox_starter("--webhook-url", ear.url, "--webhook-secret", SECRET)
    ids = {name: drive(name, sandbox.url).submit(1) for name in ("anthropic", "openai", "google")}

    heard = {received.path: received for received in (ear.next(), ear.next())}

    to_openai, to_gemini = heard["/hooks/openai"], heard["/hooks/gemini"]
    assert (to_openai.event["type"], to_openai.event["data"]["id"]) == (
        "batch.completed", ids["openai"],
    )  # fmt: skip
    assert (to_gemini.event["type"], to_gemini.event["data"]["id"]) == (
        "batch.succeeded", ids["google"],
    )  # fmt: skip
    client = openai.OpenAI(api_key="x", webhook_secret=SECRET)
    for received in heard.values():
        client.webhooks.verify_signature(received.body, received.headers)


def test_a_receiver_that_fails_is_told_again(
    ear: Ear, sandbox_starter: "SandboxStarter", drive: "Drive"
) -> None:
    ear.errors = 2
    sandbox = sandbox_starter("--webhook-url", ear.url, "--webhook-secret", SECRET)
    drive("openai", sandbox.url).submit(1)

    ids = {ear.next().headers["webhook-id"] for _ in range(3)}

    assert len(ids) == 1


@pytest.mark.parametrize(
    ("url", "secret"),
    [("ftp://x", SECRET), ("x", SECRET), ("http://x", ""), ("http://x", "whsec_!")],
)
def test_a_receiver_that_cannot_be_told_is_refused(url: str, secret: str) -> None:
    with pytest.raises(InputError):
        read_receiver(url, secret)
