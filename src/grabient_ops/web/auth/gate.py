"""Lets in who has signed in or brings a token; everybody, where no secret is set on loopback."""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from grabient_ops.web.auth.credentials import Credentials
from grabient_ops.web.auth.sessions import Sessions
from grabient_ops.web.problems import refusal
from grabient_ops.web.security.checks import SAFE_METHODS
from grabient_ops.web.security.policy import Policy

_OPEN = frozenset({"/login", "/healthz", "/readyz"})
_OPEN_FOLDERS = ("/static/", "/webhooks/")
"""Webhooks are signed; see `web/webhooks.py`."""
_API = "/api/"
_BEARER = {"www-authenticate": "Bearer"}
_NO_TOKEN = "This needs a token (`grabient-ops auth token`): Authorization: Bearer ..."  # noqa: S105 - a sentence


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        how: by a session's cookie, by a token, or unknown on a machine of one's own.
    """

    how: Literal["session", "token", "loopback"]


class Door:
    """Knows the secrets and the sessions; one for the gate and for the page that signs in."""

    def __init__(self, credentials: Credentials, sessions: Sessions, policy: Policy) -> None:
        self.credentials = credentials
        self.sessions = sessions
        self.policy = policy

    @property
    def is_closed(self) -> bool:
        """Whether people have to sign in."""
        return self.policy.is_exposed or self.credentials.password_hash is not None

    @property
    def cookie(self) -> str:
        """Name of the cookie; with this beginning browsers take it over TLS from this host only."""
        return "__Host-grabient-ops" if self.policy.is_encrypted else "grabient-ops"

    def session_of(self, headers: Headers) -> str:
        """Return the session token of a request, or ""."""
        return cookie_parser(headers.get("cookie", "")).get(self.cookie, "")

    async def identify(self, headers: Headers) -> Caller | None:
        """Return who asks, or None for a stranger."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return Caller("token") if self.credentials.find_token(token.strip()) else None
        if not self.is_closed:
            return Caller("loopback")
        session = self.session_of(headers)
        if not session:
            return None
        is_open = self.sessions.was_open(session) or await anyio.to_thread.run_sync(
            self.sessions.is_open, session
        )
        return Caller("session") if is_open else None

    def address_of(self, scope: Scope) -> str:
        """Return whose request it is, for counting; a proxy of this machine is believed."""
        client = scope.get("client")
        address: str = client[0] if client else ""
        if not self.policy.has_proxy:
            return address
        given = Headers(scope=scope).get("x-forwarded-for", "")
        return given.rpartition(",")[2].strip() or address


class Gate:
    """The middleware that asks the door."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say how to get in."""
        if scope["type"] != "http" or is_open_to_all(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        caller = await self._door.identify(headers)
        if caller is None:
            await _turn_away(scope, receive, send)
        elif is_api_change(scope) and caller.how != "token":
            await refusal(scope, 401, _NO_TOKEN, _BEARER)(scope, receive, send)
        else:
            scope.setdefault("state", {})["is_welcome"] = self._still_welcome(headers)
            await self._app(scope, receive, send)

    def _still_welcome(self, headers: Headers) -> Callable[[], Awaitable[bool]]:
        """Streams live long: they ask again and again."""

        async def ask() -> bool:
            return await self._door.identify(headers) is not None

        return ask


def is_open_to_all(path: str) -> bool:
    """Whether a path is for everybody."""
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def is_api_change(scope: Scope) -> bool:
    """Whether a request may change something by the JSON API, where cookies are worth nothing."""
    return scope["method"] not in SAFE_METHODS and scope["path"].startswith(_API)


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    headers = Headers(scope=scope)
    is_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    login = "/login?next=" + quote(scope["path"], safe="/")
    if scope["path"].startswith(_API) or "authorization" in headers:
        answer = refusal(scope, 401, _NO_TOKEN, _BEARER)
    elif is_page and "hx-request" not in headers:
        answer = refusal(scope, 303, "Sign in first.", {"location": login})
    else:
        answer = refusal(scope, 401, "Sign in first.", {"hx-redirect": "/login"})
    await answer(scope, receive, send)
