"""How every endpoint of the API behaves: refusals are problems, repeated commands are replayed."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from typing_extensions import override

from grabient_ops.analytics.search.index import EmptyIndexError
from grabient_ops.analytics.warehouse import EmptyLakeError
from grabient_ops.errors import GrabientError, InputError, ProviderError, StoreError
from grabient_ops.logs import scrub
from grabient_ops.web.api.documents import shown
from grabient_ops.web.api.replays import Replays
from grabient_ops.web.problems import MEDIA_TYPE, problem

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Problem(BaseModel):
    """A refusal (RFC 9457); `detail` is one sentence that says what helps."""

    type: str
    title: str
    status: int
    detail: str


class NotThereError(GrabientError):
    """What was asked for does not exist."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about refusals."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


@contextmanager
def looking_up() -> Iterator[None]:
    """Say 404 where a name means nothing.

    Raises:
        NotThereError: it does not.
    """
    try:
        yield
    except InputError as error:
        raise NotThereError(str(error)) from error


class ApiRoute(APIRoute):
    """An endpoint of the API; what it returns is what OpenAPI shows."""

    @override
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if isinstance(options.get("response_model"), DefaultPlaceholder):
            options["response_model"] = shown(get_type_hints(endpoint)["return"])
        super().__init__(path, endpoint, **options)

    @override
    def get_route_handler(self) -> Handler:
        act = super().get_route_handler()
        return _commanding(act) if self.methods and "POST" in self.methods else _answering(act)


def _answering(act: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            return await act(request)
        except RequestValidationError as error:
            return problem(422, _first(error))
        except HTTPException as error:
            return problem(error.status_code, str(error.detail), error.headers)
        except GrabientError as error:
            return problem(_status_of(error), scrub(" ".join(str(error).split())))

    return handle


def _commanding(act: Handler) -> Handler:
    answer = _answering(act)

    async def handle(request: Request) -> Response:
        replays: Replays = request.app.state.replays
        async with replays.turn(request):
            found = await replays.find(request)
            if found is not None:
                return found
            done = await answer(request)
            await replays.keep(request, done)
            return done

    return handle


def _status_of(error: GrabientError) -> int:
    match error:
        case NotThereError():
            return 404
        case EmptyLakeError() | EmptyIndexError():
            return 409
        case StoreError():
            return 503
        case ProviderError():
            return 502
        case _:
            return 422


def _first(error: RequestValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return f"{place}: {first['msg']}."
