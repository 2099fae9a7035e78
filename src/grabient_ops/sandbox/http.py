"""The HTTP that all four APIs share: JSON, refusals, and a connection cut on purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

JsonObject = dict[str, Any]

Call = tuple[str, str, Callable[[Request], Any]]
"""Method, path, and what answers."""

HANG_UP = "grabient.sandbox.hang_up"
"""Scope extension: a callable that closes the connection under the running request."""


@dataclass
class ApiError(Exception):
    """A refusal, before a provider's own words are put around it.

    Attributes:
        status: HTTP status.
        message: what is wrong, one sentence.
        kind: the provider's error type; empty means the usual one for the status.
        code: machine-readable detail, where the provider has one.
        param: the offending field, where the provider names it.
    """

    status: int
    message: str
    kind: str = ""
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class DroppedError(Exception):
    """The request took effect and its answer is never sent: the connection just closes."""


def json_response(
    content: JsonObject, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with compact UTF-8 JSON."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


async def read_json(request: Request) -> JsonObject:
    """Read a JSON object from the body; an empty body is an empty object.

    Raises:
        ApiError: the body is no JSON object (400).
    """
    body = await request.body()
    try:
        content = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(content, dict):
        raise ApiError(400, "The body of the request must be a JSON object.")
    return content


def only_known(content: JsonObject, known: frozenset[str]) -> None:
    """Refuse fields that the API does not have.

    Raises:
        ApiError: names the first unknown field (400).
    """
    for name in content:
        if name not in known:
            raise ApiError(
                400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name
            )


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection, after what was already written, without ending the answer."""
    scope["extensions"][HANG_UP]()
    while (await receive())["type"] != "http.disconnect":
        pass


class CutResponse(Response):
    """Announce a whole body, send a part of it, and close the connection."""

    def __init__(self, part: bytes, announced: int, media_type: str) -> None:
        super().__init__(part, headers={"content-length": str(announced)}, media_type=media_type)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part and hang up."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await hang_up(scope, receive)
