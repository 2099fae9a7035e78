"""What a browser gets when something goes wrong: one sentence, in the page or on one of its own."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup
from starlette.exceptions import HTTPException

from grabient_ops.errors import GrabientError, StoreError
from grabient_ops.logs import scrub
from grabient_ops.web.parts import Web
from grabient_ops.web.problems import is_for_programs, problem
from grabient_ops.web.replies import is_htmx, notice

log = structlog.get_logger(__name__)


def handle_failures(api: FastAPI, web: Web) -> None:
    """Answer every error with its status and a sentence; details of our own ones are in the log."""

    def known(request: Request, error: Exception) -> Response:
        status = 503 if isinstance(error, StoreError) else 400
        return failure(web, request, status, scrub(str(error)))

    def http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise TypeError from error
        response = failure(web, request, error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    def invalid(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise TypeError from error
        first = error.errors()[0]
        return failure(web, request, 422, f"{first['loc'][-1]}: {first['msg']}")

    def unknown(request: Request, error: Exception) -> Response:
        log.error("a request failed", path=request.url.path, exc_info=error)
        reason = f"{type(error).__name__}; the log says where"
        return failure(web, request, 500, reason)

    api.add_exception_handler(GrabientError, known)
    api.add_exception_handler(HTTPException, http)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(Exception, unknown)


def failure(web: Web, request: Request, status: int, reason: str) -> Response:
    """Return a notice for a page that is open, or a page."""
    if is_for_programs(request.scope):
        return problem(status, reason)
    if is_htmx(request):
        return notice(web, reason, is_bad=True, status=status)
    html = web.templates.fill(
        "error.html", title=HTTPStatus(status).phrase, reason=reason, path="", notice="",
        stream="", theme=request.cookies.get("theme", ""), live=lambda _panel_id: Markup(),
    )  # fmt: skip
    return HTMLResponse(html, status)
