"""Stands before everything: refuses what is suspicious, and puts protecting headers on answers."""

from collections.abc import Mapping

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from grabient_ops.web.problems import refusal
from grabient_ops.web.security.checks import MOST_BODY_BYTES, check
from grabient_ops.web.security.policy import LOCAL, Policy

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
HEADERS: Mapping[str, str] = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with it browsers send forms with `Origin: null`, which looks forged.
    "referrer-policy": "same-origin",
    "permissions-policy": ", ".join(f"{name}=()" for name in _UNUSED),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_TLS_FOR = "max-age=31536000"


class GuardedApp(FastAPI):
    """An app with the guard around all of it: around its answers to errors, too.

    Attributes:
        policy: how strict the guard is.
    """

    policy: Policy = LOCAL

    @override
    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self.policy)


class Guard:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send, is_encrypted=self._policy.is_encrypted or scope["scheme"] == "https")
        refused = check(scope, self._policy)
        if refused is not None:
            await refusal(scope, *refused)(scope, receive, answer.send)
            return
        await self._app(scope, _limited(receive), answer.send)


class _Answer:
    """One answer on its way out."""

    def __init__(self, send: Send, *, is_encrypted: bool) -> None:
        self._send = send
        self._is_encrypted = is_encrypted

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._protect(MutableHeaders(scope=message))
        await self._send(message)

    def _protect(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        if self._is_encrypted:
            headers["strict-transport-security"] = _TLS_FOR
        headers.setdefault("cache-control", "no-store")


def _limited(receive: Receive) -> Receive:
    """Count what a body really brings: its announcement may be missing."""
    received = 0

    async def count() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MOST_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MOST_BODY_BYTES:,} bytes.")
        return message

    return count
