from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grabient_ops.settings import Settings
from grabient_ops.web.auth.credentials import FILE, Credentials

if TYPE_CHECKING:
    from tests.cli.conftest import Ops

PASSWORD = b"correct horse battery staple"


def test_a_password_is_set_from_stdin_and_kept_as_a_hash(ops: "Ops", home: Path) -> None:
    ran = ops("auth", "password", stdin=PASSWORD + b"\nand more\n")

    assert (ran.code, PASSWORD.decode() in ran.out) == (0, False)
    assert PASSWORD not in (home / FILE).read_bytes()
    assert Credentials(Settings()).find_secret(PASSWORD.decode())
    assert ops("auth", "list", "--json").json() == {"password": True, "tokens": []}


def test_a_short_password_is_refused(ops: "Ops", home: Path) -> None:
    ran = ops("auth", "password", stdin=b"short\n")

    assert (ran.code, ran.err) == (1, "error: a password has at least 12 characters\n")
    assert not (home / FILE).exists()


def test_a_hash_is_printed_for_the_setting_and_kept_nowhere(
    ops: "Ops", home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = ops("auth", "password", "--print", stdin=PASSWORD + b"\n").out.strip()

    assert not (home / FILE).exists()
    monkeypatch.setenv("GRABIENT_OPS_WEB_PASSWORD_HASH", printed)
    assert Credentials(Settings()).find_secret(PASSWORD.decode())


def test_a_password_is_removed(ops: "Ops") -> None:
    ops("auth", "password", stdin=PASSWORD)

    assert ops("auth", "password", "--remove", "--json").json() == {"password": False}
    assert ops("auth", "list", "--json").json()["password"] is False


def test_a_hash_cannot_be_printed_and_removed(ops: "Ops") -> None:
    assert ops("auth", "password", "--print", "--remove", stdin=PASSWORD).code == 2


def test_a_token_is_shown_once_and_revoked_by_its_name(ops: "Ops", home: Path) -> None:
    token = ops("auth", "token", "ci").out.strip()
    listed = ops("auth", "list")

    assert token.startswith("gops_")
    assert token.encode() not in (home / FILE).read_bytes()
    assert ("ci" in listed.out, token in listed.out) == (True, False)
    assert Credentials(Settings()).find_token(token)

    assert ops("auth", "revoke", "ci", "--json").json() == {"revoked": "ci"}
    assert Credentials(Settings()).find_token(token) is None


def test_two_tokens_cannot_have_one_name(ops: "Ops") -> None:
    made = ops("auth", "token", "ci", "--json").json()
    again = ops("auth", "token", "ci")

    assert made["name"] == "ci"
    assert (again.code, again.out) == (1, "")
    assert "revoke" in again.err


def test_an_unknown_token_cannot_be_revoked(ops: "Ops") -> None:
    ran = ops("auth", "revoke", "nobody")

    assert (ran.code, ran.err) == (1, "error: there is no token 'nobody'; there are none\n")


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])  # noqa: S104 - it is refused
def test_nothing_is_served_to_others_without_a_password(ops: "Ops", address: str) -> None:
    ran = ops("serve", "--host", address, "--port", "0")

    assert ran.code == 1
    assert ran.err.startswith("error: others could reach the dashboard, and it has no password")


def test_a_token_that_is_too_short_for_a_setting_is_refused(
    ops: "Ops", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRABIENT_OPS_API_TOKEN", "short")

    ran = ops("auth", "list")

    assert ran.code == 1
    assert "GRABIENT_OPS_API_TOKEN" in ran.err
