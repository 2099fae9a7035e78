"""How an action answers: with a notice in the page; where there is no script, by a redirect."""

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from grabient_ops.web.parts import Parts, Web

_COOKIE = "notice"
_LONGEST = 500


def is_htmx(request: Request) -> bool:
    """Whether a script of ours asks, and swaps the answer into the page."""
    return request.headers.get("hx-request") == "true"


def notice(web: Web, text: str, *, is_bad: bool = False, status: int = 200) -> HTMLResponse:
    """Return a notice for a page that is open."""
    html = web.templates.fill("parts/notice.html", notice=text, is_bad=is_bad)
    partial = f'<hx-partial hx-target="#notices" hx-swap="beforeend">{html}</hx-partial>'
    return HTMLResponse(partial, status)


def _replier(request: Request, web: Parts) -> Callable[..., Response]:
    def reply(text: str, *, to: str, leave: bool = False) -> Response:
        """Say what was done.

        Args:
            text: one sentence.
            to: address of the page that shows it, for browsers that have left theirs.
            leave: go there in any case: what the form was for is done.
        """
        if is_htmx(request) and not leave:
            return notice(web, text)
        response = _to(request, to)
        response.set_cookie(
            _COOKIE, quote(text[:_LONGEST]), max_age=30, httponly=True, samesite="lax"
        )
        return response

    return reply


def _to(request: Request, address: str) -> Response:
    if is_htmx(request):
        return Response(status_code=204, headers={"hx-redirect": address})
    return RedirectResponse(address, 303)


Reply = Annotated[Callable[..., Response], Depends(_replier)]
"""Write `reply: Reply` in an action's signature, and end with `return reply(text, to=address)`."""


def pop_notice(request: Request, response: Response) -> None:
    """Forget the notice that a redirect has left, for the page now shows it."""
    if _COOKIE in request.cookies:
        response.delete_cookie(_COOKIE, httponly=True, samesite="lax")


def left_notice(request: Request) -> str:
    """Return the notice that a redirect has left; "" without one."""
    return unquote(request.cookies.get(_COOKIE, ""))[:_LONGEST]
