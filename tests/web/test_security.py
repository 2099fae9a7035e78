from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from benchmarks.postgres import store_url
from grabient_ops.app import App
from grabient_ops.errors import ConfigError
from grabient_ops.loopback import is_loopback
from grabient_ops.settings import Settings
from grabient_ops.web.app import create_web
from grabient_ops.web.security.guard import CONTENT_POLICY, HEADERS
from grabient_ops.web.security.policy import LOCAL, Policy, choose_policy

HERE = "http://127.0.0.1:4100"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


def browser(web: FastAPI, base_url: str = HERE) -> TestClient:
    """A client that goes where it is sent by hand, and sees a 500 as browsers do."""
    return TestClient(web, base_url, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One home for all: nothing here changes it."""
    home = tmp_path_factory.mktemp("home")
    app = App(Settings(home=home, database_url=store_url(home)))
    yield app
    app.store.close()


@pytest.fixture(scope="module")
def web(app: App) -> FastAPI:
    web = create_web(app)

    @web.get("/explode")
    def explode() -> None:
        raise RuntimeError("secret details")

    return web


@pytest.fixture(scope="module")
def client(web: FastAPI) -> Iterator[TestClient]:
    with browser(web) as client:
        yield client


def post(client: TestClient, **headers: str) -> int:
    """Change something harmless, as a form does; return the status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/theme", headers=named).status_code


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/api/v1/status", 200),
        ("/openapi.json", 200),
        ("/static/css/base.css", 200),
        ("/healthz", 200),
        ("/nowhere", 404),
        ("/api/v1/nowhere", 404),
        ("/api/v1/sql", 405),
        ("/explode", 500),
    ],
)
def test_every_answer_carries_the_protecting_headers(
    client: TestClient, path: str, status: int
) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    assert "secret details" not in answer.text


def test_a_refusal_carries_them_too(client: TestClient) -> None:
    answer = client.get("/", headers={"host": "elsewhere.example"})

    assert (answer.status_code, answer.headers["content-security-policy"]) == (421, CONTENT_POLICY)


def test_scripts_and_styles_come_from_nowhere_else_and_nothing_is_inline() -> None:
    rules = dict(rule.split(" ", 1) for rule in CONTENT_POLICY.split("; "))

    assert rules == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
        "img-src": "'self' data:", "font-src": "'self'", "connect-src": "'self'",
        "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
    }  # fmt: skip


def test_pages_are_kept_nowhere_and_assets_are(client: TestClient) -> None:
    assert client.get("/").headers["cache-control"] == "no-store"
    assert client.get("/api/v1/models").headers["cache-control"] == "no-store"
    assert client.get("/static/css/base.css?1").headers["cache-control"].startswith("public")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": HERE},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:4101"},
        {"origin": "null"},
        {"origin": ""},
        {},
    ],
)
def test_a_change_that_a_page_of_another_site_asks_for_is_refused(
    client: TestClient, headers: dict[str, str]
) -> None:
    assert post(client, **headers) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": HERE},
        {"origin": HERE.upper()},
    ],
)
def test_a_change_that_our_own_page_asks_for_passes(
    client: TestClient, headers: dict[str, str]
) -> None:
    assert post(client, **headers) == 303


def test_signing_in_is_a_change_too(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site"}

    assert client.post("/login", headers=headers).status_code == 403
    assert client.post("/logout", headers=headers).status_code == 403


def test_a_page_of_another_site_cannot_use_a_token_that_it_knows(client: TestClient) -> None:
    headers = {"origin": "http://evil.example", "authorization": "Bearer x"}

    assert client.post("/api/v1/errors/retry", json={}, headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1", "", "a b"])
def test_a_name_that_a_stranger_made_to_mean_this_machine_is_refused(
    client: TestClient, host: str
) -> None:
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:4100", "localhost", "LOCALHOST:1", "[::1]:4100"])
def test_this_machine_s_own_names_pass(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


def test_two_names_at_once_are_refused(client: TestClient) -> None:
    headers = [("host", "127.0.0.1"), ("host", "evil.example")]

    assert client.get("/healthz", headers=headers).status_code == 421


def test_a_large_body_is_refused_before_it_is_read(client: TestClient) -> None:
    headers = {**SAME_ORIGIN, "content-length": "2000000"}

    assert client.post("/login", content=b"", headers=headers).status_code == 413


def test_a_body_that_is_larger_than_it_says_is_refused(client: TestClient) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(40):
            yield b"secret=" + b"x" * 65_536

    headers = {**SAME_ORIGIN, "content-type": "application/x-www-form-urlencoded"}

    assert client.post("/login", content=drip(), headers=headers).status_code == 413


def test_a_long_address_is_refused(client: TestClient) -> None:
    assert client.get("/?" + "a" * 9000).status_code == 414


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X"])
def test_unusual_methods_mean_nothing(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/v1/status", headers=SAME_ORIGIN)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


def test_a_websocket_is_closed(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/"):
        pass


def test_browsers_are_told_to_stay_with_tls_only_under_tls(app: App) -> None:
    tls = Policy(LOCAL.hosts, is_exposed=False, is_encrypted=True)
    plain, encrypted = browser(create_web(app)), browser(create_web(app, policy=tls))

    assert "strict-transport-security" not in plain.get("/healthz").headers
    assert "strict-transport-security" in encrypted.get("/healthz").headers
    with browser(create_web(app), HERE.replace("http", "https")) as direct:
        assert "strict-transport-security" in direct.get("/healthz").headers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("LocalHost", True),
        ("0.0.0.0", False),  # noqa: S104 - no socket is bound
        ("::", False),
        ("192.168.1.5", False),
        ("ops.example", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_proxy_s_name_is_known_and_needs_a_password() -> None:
    policy = choose_policy("127.0.0.1", "https://ops.example/")

    assert policy.hosts == frozenset({"localhost", "127.0.0.1", "::1", "ops.example"})
    assert (policy.is_exposed, policy.is_encrypted, policy.has_proxy) == (True, True, True)


@pytest.mark.parametrize("url", ["ops.example", "ftp://ops.example", "https://", "https://[x"])
def test_a_public_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="GRABIENT_OPS_PUBLIC_URL"):
        choose_policy("127.0.0.1", url)
