"""How a refusal is answered: one sentence, as RFC 9457 says for programs, as text for people."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem document.

    Args:
        status: the HTTP status.
        detail: what is wrong and what helps, in one sentence.
        headers: further ones.
    """
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(document, status, headers, media_type=MEDIA_TYPE)


def refusal(
    scope: Scope, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the refusal of a request in the form that its sender reads."""
    if is_for_programs(scope):
        return problem(status, detail, headers)
    return PlainTextResponse(detail + "\n", status, headers)


def is_for_programs(scope: Scope) -> bool:
    """Whether a request is to the JSON API or to a webhook."""
    path: str = scope["path"]
    return path.startswith(("/api/", "/webhooks/"))
