import socket
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from fastapi.testclient import TestClient

from benchmarks.arena import Home
from grabient_ops.app import App
from grabient_ops.errors import ConfigError
from grabient_ops.settings import Settings
from grabient_ops.store.changes import since
from grabient_ops.web.app import create_web
from grabient_ops.web.signatures import BadSignatureError, Verifier, sign

if TYPE_CHECKING:
    from tests.conftest import SandboxStarter
    from tests.web.conftest import Shelf

HERE = "http://127.0.0.1:4100"
KEY = b"a secret of a webhook"
SECRET = "whsec_" + b64encode(KEY).decode()
BODY = b'{"type":"batch.completed","data":{"id":"batch_1"}}'


def headers(body: bytes = BODY, **changes: str) -> dict[str, str]:
    """What a provider sends with a body, signed; `changes` come after the signature."""
    moment = str(int(time.time()))
    signed = {
        "webhook-id": "wh_1",
        "webhook-timestamp": moment,
        "webhook-signature": sign(KEY, "wh_1", moment, body).decode(),
    }
    return signed | {name.replace("_", "-"): value for name, value in changes.items()}


def test_it_believes_what_the_providers_own_library_believes() -> None:
    client = openai.OpenAI(api_key="x", webhook_secret=SECRET)

    client.webhooks.verify_signature(BODY, headers())

    assert Verifier(SECRET, "X").accept(headers(), BODY)


def test_one_of_several_signatures_is_enough() -> None:
    signed = headers()
    several = signed | {"webhook-signature": f"v1,AAAA v2,x {signed['webhook-signature']}"}

    assert Verifier(SECRET, "X").accept(several, BODY)


def test_a_secret_without_the_usual_beginning_is_the_key_itself() -> None:
    assert Verifier(KEY.decode(), "X").accept(headers(), BODY)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!", "whsec_abc"])
def test_a_broken_secret_is_refused_with_its_variable(secret: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_WEBHOOK_SECRET"):
        Verifier(secret, "OPENAI_WEBHOOK_SECRET")


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_signature": ""},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "v1,\xff"},
        {"webhook_id": "wh_2"},
        {"webhook_id": ""},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "9" * 5000},
        {"webhook_timestamp": "٤٢"},
    ],
)
def test_what_was_changed_on_the_way_is_not_believed(changed: dict[str, str]) -> None:
    with pytest.raises(BadSignatureError):
        Verifier(SECRET, "X").accept(headers(BODY, **changed), BODY)


def test_another_body_is_not_believed() -> None:
    with pytest.raises(BadSignatureError, match="not signed"):
        Verifier(SECRET, "X").accept(headers(), BODY + b" ")


@pytest.mark.parametrize(
    ("later_s", "believed"), [(-301, False), (-299, True), (299, True), (302, False)]
)
def test_only_what_was_signed_just_now_is_believed(later_s: float, *, believed: bool) -> None:
    verifier = Verifier(SECRET, "X", clock=lambda: time.time() + later_s)
    if believed:
        assert verifier.accept(headers(), BODY)
        return
    with pytest.raises(BadSignatureError, match="300 seconds"):
        verifier.accept(headers(), BODY)


def test_a_message_counts_once_and_is_forgotten_when_it_is_too_old_to_come_again() -> None:
    now = [time.time()]
    verifier = Verifier(SECRET, "X", clock=lambda: now[0])

    assert [verifier.accept(headers(), BODY), verifier.accept(headers(), BODY)] == [True, False]
    now[0] += 200
    assert verifier.accept(headers(webhook_id="wh_1"), BODY) is False
    assert len(verifier._seen) == 1
    now[0] += 601
    verifier._is_new("wh_2", now[0])
    assert list(verifier._seen) == ["wh_2"]


def test_what_is_remembered_is_bounded() -> None:
    verifier = Verifier(SECRET, "X")
    for number in range(10_050):
        verifier._is_new(str(number), 1.0)

    assert len(verifier._seen) == 10_000


Send = Callable[..., httpx2.Response]


@pytest.fixture
def send(shelf: "Shelf", monkeypatch: pytest.MonkeyPatch) -> Send:
    """Send a signed event to a dashboard of the home, as a provider does."""
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("GEMINI_WEBHOOK_SECRET", SECRET)
    same = shelf.app.settings
    web = create_web(App(Settings(home=same.home, database_url=same.database_url)))
    client = TestClient(web, HERE)

    def post(path: str = "/webhooks/openai", body: bytes = BODY, **changes: str) -> httpx2.Response:
        answer: Any = client.post(path, content=body, headers=headers(body, **changes))
        sent: httpx2.Response = answer
        return sent

    return post


def nudged(shelf: "Shelf") -> list[str]:
    """The batches that the worker was told to look at."""
    with shelf.app.store.read() as connection:
        return [change.key for change in since(connection, 0) if change.topic == "nudges"]


def waiting(shelf: "Shelf", provider: str, **values: object) -> str:
    """A batch that waits at a provider."""
    return shelf.batch("seed", provider=provider, state="waiting", **values)


def test_the_end_of_a_batch_has_the_worker_look_at_it(send: Send, shelf: "Shelf") -> None:
    batch = waiting(shelf, "openai", provider_batch_id="batch_1")

    assert send().status_code == 200
    assert nudged(shelf) == [batch]


@pytest.mark.parametrize("name", ["batches/abc", "abc"])
def test_gemini_may_call_a_batch_by_either_name(send: Send, shelf: "Shelf", name: str) -> None:
    batch = waiting(shelf, "google", provider_batch_id="batches/abc")
    body = b'{"type":"batch.succeeded","version":"v1","data":{"id":"%s"}}' % name.encode()

    assert send("/webhooks/gemini", body).status_code == 200
    assert nudged(shelf) == [batch]


def test_the_same_message_again_does_nothing_more(send: Send, shelf: "Shelf") -> None:
    waiting(shelf, "openai", provider_batch_id="batch_1")

    assert [send().status_code for _ in range(3)] == [200] * 3
    assert len(nudged(shelf)) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"type":"batch.completed","data":{"id":"unknown"}}', 200),
        (b'{"type":"response.completed","data":{"id":"batch_1"}}', 200),
        (b'{"type":"batch.completed","data":{}}', 200),
        (b'{"type":"batch.completed","data":{"id":["batch_1"]}}', 200),
        (b'{"type":"batch.completed"}', 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b"", 400),
    ],
)
def test_what_is_about_no_batch_of_ours_does_nothing(
    send: Send, shelf: "Shelf", body: bytes, status: int
) -> None:
    waiting(shelf, "openai", provider_batch_id="batch_1")

    assert send(body=body).status_code == status
    assert nudged(shelf) == []


@pytest.mark.parametrize("values", [{"state": "completed"}, {"provider": "google"}])
def test_a_batch_that_is_not_waited_for_there_is_left_alone(
    send: Send, shelf: "Shelf", values: dict[str, str]
) -> None:
    batch = waiting(shelf, "openai", provider_batch_id="batch_1")
    shelf.update(batch, **values)

    assert send().status_code == 200
    assert nudged(shelf) == []


def test_a_forged_message_does_nothing(send: Send, shelf: "Shelf") -> None:
    waiting(shelf, "openai", provider_batch_id="batch_1")

    answer = send(webhook_signature="v1,AAAA")

    assert (answer.status_code, answer.json()["status"]) == (401, 401)
    assert nudged(shelf) == []


def test_without_a_secret_nothing_is_expected(app: App) -> None:
    answer = TestClient(create_web(app), HERE).post("/webhooks/openai", content=BODY)

    assert answer.status_code == 404
    assert "OPENAI_WEBHOOK_SECRET is not set" in answer.json()["detail"]


def test_a_batch_is_collected_long_before_its_next_poll(
    tmp_path: Path, sandbox_starter: "SandboxStarter"
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    hooks = f"http://127.0.0.1:{port}/webhooks"
    sandbox = sandbox_starter("--webhook-url", hooks, "--webhook-secret", SECRET, latency_s=2.0)
    secrets = {"OPENAI_WEBHOOK_SECRET": SECRET, "GEMINI_WEBHOOK_SECRET": SECRET}
    patience = {"GRABIENT_OPS_POLL_SECONDS": "300"}
    home = Home(tmp_path / "home", {**sandbox.env, **secrets, **patience})
    home.add_palettes(2)
    models = ["--model", "gpt-4o-mini", "--model", "gemini-2.5-flash-lite"]
    home.run("tag", *models)
    server = home.start("serve", "--port", str(port))
    try:
        _wait_until(lambda: home.rows("SELECT count(*) FROM palette_tags") == [(4,)])
    finally:
        server.terminate()
        server.communicate(timeout=60)

    assert len(sandbox.ledger()["batches"]) == 2


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
