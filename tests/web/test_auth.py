import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from grabient_ops.app import App
from grabient_ops.errors import ConfigError, InputError
from grabient_ops.settings import Settings
from grabient_ops.store.tables import notes
from grabient_ops.web.app import create_web
from grabient_ops.web.auth.credentials import (
    FILE,
    Credentials,
    add_token,
    read_file,
    revoke_token,
    set_password,
)
from grabient_ops.web.auth.login import local_path
from grabient_ops.web.auth.passwords import check_hash, hash_password, is_password
from grabient_ops.web.auth.sessions import LIFETIME, Sessions
from grabient_ops.web.auth.throttle import Throttle
from grabient_ops.web.live import stream
from grabient_ops.web.security.policy import LOCAL, Policy, choose_policy

if TYPE_CHECKING:
    from tests.web.conftest import Served

HERE = "http://127.0.0.1:4100"
PASSWORD = "correct horse battery staple"
PAGE = {"accept": "text/html"}
FORM = {"sec-fetch-site": "same-origin"}
EVERYWHERE = choose_policy("0.0.0.0")  # noqa: S104 - no socket is bound
TLS = Policy(LOCAL.hosts, is_exposed=True, is_encrypted=True)


def quick_hash(password: str) -> str:
    """A hash as ours, but cheap to compute."""
    key = hashlib.scrypt(password.encode(), salt=b"salt", n=2, r=1, p=1, dklen=32)
    return ":".join(["scrypt", "2", "1", "1", b64encode(b"salt").decode(), b64encode(key).decode()])


@pytest.fixture
def home(app: App) -> Path:
    """A home with a password."""
    set_password(app.settings.home, quick_hash(PASSWORD))
    return app.settings.home


Enter = Callable[..., TestClient]


@pytest.fixture
def enter(app: App) -> Enter:
    """Make a client of a new server on the home, and sign it in."""

    def make(secret: str | None = None, policy: Policy = LOCAL, url: str = HERE) -> TestClient:
        client = TestClient(create_web(app, policy=policy), url, follow_redirects=False)
        if secret is not None:
            assert sign_in(client, secret) == 303
        return client

    return make


def sign_in(client: TestClient, secret: str, **form: str) -> int:
    """Send the form; return the status."""
    return client.post("/login", data={"secret": secret, **form}, headers=FORM).status_code


def test_a_password_is_known_by_its_hash_alone() -> None:
    hashed = hash_password(PASSWORD)

    assert PASSWORD not in hashed
    assert is_password(PASSWORD, hashed)
    assert not is_password(PASSWORD + " ", hashed)
    assert hashed.split(":")[:4] == ["scrypt", "32768", "8", "3"]


def test_the_same_password_never_has_the_same_hash() -> None:
    salts = {hash_password(PASSWORD).split(":")[4] for _ in range(2)}

    assert len(salts) == 2


def test_a_short_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 12 characters"):
        hash_password("too short")


@pytest.mark.parametrize(
    "text",
    ["", "x", "scrypt:2:1:1:c2FsdA==", "bcrypt:2:1:1:c2FsdA==:c2FsdA==", "scrypt:2:1:1:!:!",
     "scrypt:99999999999:8:1:c2FsdA==:c2FsdA==", "scrypt:1:1:1:c2FsdA==:c2FsdA=="],
)  # fmt: skip
def test_what_is_no_hash_is_refused_with_the_place_where_it_was_found(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^HERE holds no hash"):
        check_hash(text, "HERE")


def test_only_its_owner_can_read_the_file_and_no_secret_is_in_it(home: Path) -> None:
    token = add_token(home, "ci")

    content = (home / FILE).read_text()

    assert (home / FILE).stat().st_mode & 0o777 == 0o600
    assert token not in content
    assert PASSWORD not in content
    assert list(read_file(home / FILE).tokens) == ["ci"]


def test_a_file_that_others_can_read_is_refused(home: Path) -> None:
    (home / FILE).chmod(0o640)

    with pytest.raises(ConfigError, match="chmod 600"):
        read_file(home / FILE)


@pytest.mark.parametrize("content", ["", "[]", '{"password": 1, "tokens": {}}', "\0"])
def test_a_file_that_is_none_of_ours_is_refused(home: Path, content: str) -> None:
    (home / FILE).write_text(content)

    with pytest.raises(ConfigError, match=r"remove it|no hash"):
        read_file(home / FILE)


def test_tokens_have_names_and_end_by_them(home: Path) -> None:
    token = add_token(home, "ci")
    credentials = Credentials(Settings(home=home))
    assert credentials.find_token(token)
    with pytest.raises(InputError, match="there is a token 'ci'"):
        add_token(home, "ci")

    revoke_token(home, "ci")

    assert credentials.find_token(token) is None
    with pytest.raises(InputError, match="there is no token 'ci'"):
        revoke_token(home, "ci")


def test_settings_go_before_the_file(home: Path) -> None:
    settings = Settings(home=home, web_password_hash=quick_hash("another one"), api_token="t" * 24)
    credentials = Credentials(settings)

    assert credentials.find_secret("another one")
    assert credentials.find_secret("t" * 24)
    assert not credentials.find_secret(PASSWORD)


@pytest.mark.parametrize("policy", [EVERYWHERE, choose_policy("127.0.0.1", "http://ops.example")])
def test_nothing_is_served_to_others_without_a_secret(app: App, policy: Policy) -> None:
    with pytest.raises(ConfigError, match="auth password"):
        create_web(app, policy=policy)

    add_token(app.settings.home, "any")
    create_web(app, policy=policy)


def test_on_a_machine_of_one_s_own_everything_can_be_seen_without_a_password(enter: Enter) -> None:
    client = enter()

    assert client.get("/", headers=PAGE).status_code == 200
    assert client.get("/api/v1/status").status_code == 200


def test_a_page_sends_strangers_to_the_door_and_remembers_where_they_went(
    home: Path, enter: Enter
) -> None:
    answer = enter().get("/palettes", headers=PAGE)

    assert home.exists()
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/palettes")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/status", {}),
        ("/live", {"accept": "text/event-stream"}),
        ("/", {**PAGE, "hx-request": "true"}),
        ("/metrics", {}),
        ("/openapi.json", {}),
        ("/swatch/x.svg", {"accept": "image/*"}),
        ("/nowhere", {}),
    ],
)
@pytest.mark.usefixtures("home")
def test_strangers_get_nothing_else(enter: Enter, path: str, headers: dict[str, str]) -> None:
    assert enter().get(path, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/login", "/static/css/base.css", "/healthz", "/readyz"])
@pytest.mark.usefixtures("home")
def test_strangers_can_see_the_door(enter: Enter, path: str) -> None:
    assert enter().get(path).status_code == 200


@pytest.mark.parametrize("path", ["/theme", "/logout", "/api/v1/errors/retry"])
@pytest.mark.usefixtures("home")
def test_strangers_change_nothing(enter: Enter, path: str) -> None:
    assert enter().post(path, headers=FORM, json={}).status_code == 401


@pytest.mark.usefixtures("home")
def test_the_right_password_opens_and_leads_to_where_one_was_going(enter: Enter) -> None:
    client = enter()
    answer = client.post(
        "/login", data={"secret": PASSWORD, "next": "/palettes?state=tagged"}, headers=FORM
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/palettes?state=tagged")
    assert client.get("/", headers=PAGE).status_code == 200
    assert client.get("/api/v1/status").status_code == 200


@pytest.mark.parametrize("secret", ["", "wrong", PASSWORD.upper(), "\udc80", "x" * 1000])
@pytest.mark.usefixtures("home")
def test_a_wrong_password_does_not(enter: Enter, secret: str) -> None:
    client = enter()
    headers = {**FORM, "content-type": "application/x-www-form-urlencoded"}
    content = f"secret={secret}".encode(errors="replace")
    answer = client.post("/login", content=content, headers=headers)

    assert answer.status_code == 401
    assert "neither the password nor a token" in answer.text
    assert not client.cookies


def test_a_token_signs_in_where_there_is_no_password(app: App, enter: Enter) -> None:
    token = add_token(app.settings.home, "phone")

    client = enter(token, policy=EVERYWHERE)

    assert client.get("/", headers=PAGE).status_code == 200


@pytest.mark.usefixtures("home")
def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(enter: Enter) -> None:
    plain, encrypted = enter(), enter(policy=TLS, url="https://127.0.0.1")
    form = {"secret": PASSWORD}

    cookies = [
        client.post("/login", data=form, headers=FORM).headers["set-cookie"]
        for client in (plain, encrypted)
    ]

    assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in cookies)
    assert ["Secure" in cookie for cookie in cookies] == [False, True]
    assert cookies[1].startswith("__Host-")


@pytest.mark.usefixtures("home")
def test_the_store_knows_sessions_by_digest_only(app: App, enter: Enter) -> None:
    (token,) = enter(PASSWORD).cookies.jar

    with app.store.read() as connection:
        notes = connection.exec_driver_sql("SELECT key || value FROM notes").scalars().all()

    assert any(note.startswith("session ") for note in notes)
    assert not any(str(token.value) in note for note in notes)


@pytest.mark.usefixtures("home")
def test_a_session_survives_a_restart_and_ends_with_a_sign_out(enter: Enter) -> None:
    client = enter(PASSWORD)
    again = enter()
    again.cookies = client.cookies
    assert again.get("/", headers=PAGE).status_code == 200

    assert again.post("/logout", headers=FORM).headers["location"] == "/login"

    thief = enter()
    thief.cookies = client.cookies
    assert thief.get("/", headers=PAGE).status_code == 303
    assert not again.cookies


def test_a_session_ends_with_the_password_that_opened_it(home: Path, enter: Enter) -> None:
    cookies = enter(PASSWORD).cookies

    set_password(home, quick_hash("a new password"))

    client = enter()
    client.cookies = cookies
    assert client.get("/", headers=PAGE).status_code == 303


@pytest.mark.usefixtures("home")
def test_a_session_ends_after_a_week_and_leaves_no_trace(app: App) -> None:
    now = [app.services.now()]

    def clock() -> datetime:
        return now[0]

    credentials = Credentials(app.settings)
    fingerprint = credentials.find_secret(PASSWORD) or ""
    token = Sessions(app.store, credentials, clock).open(fingerprint)
    assert Sessions(app.store, credentials, clock).is_open(token)

    now[0] += LIFETIME + timedelta(seconds=1)

    later = Sessions(app.store, credentials, clock)
    assert not later.is_open(token)
    later.open(fingerprint)
    with app.store.read() as connection:
        kept = connection.execute(sa.select(notes).where(notes.c.key.startswith("session ")))
        assert len(kept.all()) == 1


@pytest.mark.parametrize("cookie", ["", "x", "a" * 5000, '"', "\x7f", "session %"])
@pytest.mark.usefixtures("home")
def test_an_invented_cookie_is_worth_nothing(enter: Enter, cookie: str) -> None:
    headers = {**PAGE, "cookie": f"grabient-ops={cookie}"}

    assert enter().get("/", headers=headers).status_code == 303


def test_a_token_opens_the_api_and_a_wrong_one_nothing(home: Path, enter: Enter) -> None:
    token = add_token(home, "ci")
    client = enter()

    def status(scheme: str) -> int:
        return client.get("/api/v1/status", headers={"authorization": scheme}).status_code

    assert [status(f"Bearer {token}"), status(f"bearer  {token}")] == [200, 200]
    wrong = [f"Bearer {token}x", "Bearer ", "Bearer", f"Basic {token}", token]
    assert {status(scheme) for scheme in wrong} == {401}


def test_a_wrong_token_is_not_made_good_by_a_cookie(home: Path, enter: Enter) -> None:
    client = enter(PASSWORD)

    answer = client.get("/api/v1/status", headers={"authorization": "Bearer wrong"})

    assert home.exists()
    assert answer.status_code == 401


def test_a_cookie_changes_nothing_by_the_api_and_a_token_does(home: Path, enter: Enter) -> None:
    client = enter(PASSWORD)
    token = {"authorization": f"Bearer {add_token(home, 'ci')}"}

    without = client.post("/api/v1/errors/retry", json={}, headers=FORM)
    with_token = client.post("/api/v1/errors/retry", json={}, headers=token)

    assert (without.status_code, with_token.status_code) == (401, 200)
    assert without.headers["www-authenticate"] == "Bearer"


def test_on_a_machine_of_one_s_own_the_api_changes_nothing_without_a_token(enter: Enter) -> None:
    assert enter().post("/api/v1/errors/retry", json={}).status_code == 401


@pytest.mark.usefixtures("home")
def test_after_five_wrong_passwords_the_right_one_must_wait_too(enter: Enter) -> None:
    client = enter()
    assert [sign_in(client, "wrong") for _ in range(5)] == [401] * 5

    answer = client.post("/login", data={"secret": PASSWORD}, headers=FORM)

    assert (answer.status_code, int(answer.headers["retry-after"]) > 200) == (429, True)


@pytest.mark.usefixtures("home")
def test_the_right_password_takes_the_wrong_ones_before_it_back(enter: Enter) -> None:
    client = enter()
    for _ in range(3):
        assert [sign_in(client, "wrong") for _ in range(4)] == [401] * 4
        assert sign_in(client, PASSWORD) == 303


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_must_wait_and_others_need_not() -> None:
    clock = _Clock()
    throttle = Throttle(clock)
    for _ in range(5):
        throttle.note_try("192.0.2.1")

    assert throttle.wait_s("192.0.2.1") == 300
    assert throttle.wait_s("192.0.2.2") == 0
    clock.now += 300
    assert throttle.wait_s("192.0.2.1") == 0


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    throttle = Throttle(_Clock())
    for host in range(5):
        throttle.note_try(f"2001:db8::{host}")

    assert throttle.wait_s("2001:db8::ffff:1") > 0
    assert throttle.wait_s("2001:db8:0:1::1") == 0


def test_many_addresses_together_must_wait_as_well() -> None:
    throttle = Throttle(_Clock())
    for number in range(50):
        throttle.note_try(f"192.0.2.{number}")

    assert throttle.wait_s("198.51.100.1") > 0


def test_guessing_from_everywhere_does_not_fill_the_memory() -> None:
    throttle = Throttle(_Clock())
    for number in range(10_500):
        throttle.note_try(str(number))

    assert len(throttle._by_address) == 10_000


@pytest.mark.parametrize(
    ("given", "followed"),
    [
        ("/palettes?x=1#y", "/palettes?x=1#y"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("", "/"),
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(given: str, followed: str) -> None:
    assert local_path(given) == followed


@pytest.mark.usefixtures("home")
def test_behind_a_proxy_of_ours_each_address_counts_for_itself(enter: Enter) -> None:
    client = enter(policy=choose_policy("127.0.0.1", "http://127.0.0.1:4100"))

    def try_from(address: str) -> int:
        headers = {**FORM, "x-forwarded-for": f"spoofed, {address}"}
        return client.post("/login", data={"secret": "wrong"}, headers=headers).status_code

    assert [try_from("192.0.2.1") for _ in range(6)] == [401] * 5 + [429]
    assert try_from("192.0.2.2") == 401


def test_a_stream_ends_soon_after_the_session(
    home: Path, serve: "Callable[..., Served]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PING_S", 0.05)
    monkeypatch.setattr("grabient_ops.web.auth.sessions._TRUSTED_S", 0.01)
    served = serve()
    with TestClient(served.api, HERE, follow_redirects=False) as client:
        assert sign_in(client, PASSWORD) == 303
        (cookie,) = client.cookies.jar
    viewer = _follow(served, f"{cookie.name}={cookie.value}")
    assert next(viewer).startswith(":")

    set_password(home, quick_hash("a new password"))

    assert sum(len(line) for line in viewer) < 100_000


def _follow(served: "Served", cookie: str) -> Iterator[str]:
    import urllib.request

    request = urllib.request.Request(f"{served.url}/live", headers={"cookie": cookie})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
        for line in response:
            yield line.decode()


def test_a_session_note_is_json(app: App) -> None:
    credentials = Credentials(app.settings)
    Sessions(app.store, credentials, app.services.now).open("fingerprint")

    with app.store.read() as connection:
        (note,) = connection.exec_driver_sql("SELECT value FROM notes").scalars()

    assert set(json.loads(note)) == {"until", "by"}
