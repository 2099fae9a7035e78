"""The page that signs people in, and the form that signs them out."""

from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from grabient_ops.web.auth.gate import Door
from grabient_ops.web.auth.sessions import LIFETIME
from grabient_ops.web.auth.throttle import Throttle
from grabient_ops.web.parts import Parts, Web

_MOST_CHARACTERS = 1024


def create_login(door: Door) -> APIRouter:
    """Return the routes `/login` and `/logout`."""
    router = APIRouter(include_in_schema=False)
    throttle = Throttle()
    # A hash takes 32 MiB and a fifth of a second: one at a time.
    one_at_a_time = anyio.CapacityLimiter(1)

    async def sign_in(request: Request, secret: str) -> str | None:
        """Return a session's token, or None."""
        address = door.address_of(request.scope)
        throttle.note_try(address)
        find = door.credentials.find_secret
        fingerprint = await anyio.to_thread.run_sync(find, secret, limiter=one_at_a_time)
        if fingerprint is None:
            return None
        throttle.forgive(address)
        return await anyio.to_thread.run_sync(door.sessions.open, fingerprint)

    @router.get("/login")
    def show(request: Request, web: Parts, next: str = "/") -> HTMLResponse:  # noqa: A002 - name in the address
        return _page(request, web, 200, local_path(next), "")

    @router.post("/login")
    async def enter(
        request: Request,
        web: Parts,
        secret: Annotated[str, Form(max_length=_MOST_CHARACTERS)] = "",
        next: Annotated[str, Form()] = "/",  # noqa: A002 - name in the form
    ) -> Response:
        target = local_path(next)
        wait_s = throttle.wait_s(door.address_of(request.scope))
        if wait_s:
            answer = _page(
                request, web, 429, target, f"Too many tries; wait {wait_s / 60:.0f} min."
            )
            answer.headers["retry-after"] = str(int(wait_s) + 1)
            return answer
        token = await sign_in(request, secret)
        if token is None:
            return _page(request, web, 401, target, "That is neither the password nor a token.")
        return _with_cookie(RedirectResponse(target, 303), token)

    @router.post("/logout")
    def leave(request: Request) -> Response:
        door.sessions.close(door.session_of(request.headers))
        return _with_cookie(RedirectResponse("/login", 303), "", age_s=0)

    def _with_cookie(
        answer: Response, token: str, age_s: int = int(LIFETIME.total_seconds())
    ) -> Response:
        is_encrypted = door.policy.is_encrypted
        answer.set_cookie(
            door.cookie, token, age_s, httponly=True, samesite="lax", secure=is_encrypted
        )
        return answer

    return router


def local_path(text: str) -> str:
    r"""Return a path of this server to go to; `/` for anything that may lead elsewhere.

    Browsers take `//host`, `/\host` and control characters on the way for another server's name.
    """
    is_local = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_local else "/"


def _page(request: Request, web: Web, status: int, target: str, complaint: str) -> HTMLResponse:
    theme = request.cookies.get("theme", "")
    html = web.templates.fill("login.html", target=target, complaint=complaint, theme=theme)
    return HTMLResponse(html, status)
