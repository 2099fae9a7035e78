"""The ASGI application: who is meant, is there a key, does a fault strike, who answers."""

import asyncio
from collections.abc import Mapping

import orjson
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from grabient_ops.errors import InputError
from grabient_ops.sandbox.convex.wire import ConvexWire
from grabient_ops.sandbox.core import Core, new_id
from grabient_ops.sandbox.http import ApiError, DroppedError, hang_up, json_response, read_json
from grabient_ops.sandbox.ledger import Speaker, Wire, ledger
from grabient_ops.sandbox.wire.anthropic.batches import AnthropicWire
from grabient_ops.sandbox.wire.google.batches import GoogleWire
from grabient_ops.sandbox.wire.openai.batches import OpenAIWire
from grabient_ops.sandbox.wire.openai.embeddings import EmbeddingsWire

_SLOW_S = 2.0
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class SandboxApp:
    """One process that plays four providers and a Convex deployment; see `docs/sandbox.md`."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.wires: Mapping[str, Wire] = {
            "openai": OpenAIWire(core, "openai", "/v1"),
            "groq": OpenAIWire(core, "groq", "/openai/v1"),
            "anthropic": AnthropicWire(core),
            "google": GoogleWire(core),
        }
        self.convex = ConvexWire(core)
        self._speakers: Mapping[str, Speaker] = {**self.wires, "convex": self.convex}
        self._routes = {name: speaker.routes() for name, speaker in self._speakers.items()}
        embed = EmbeddingsWire(core).embeddings
        self._routes["openai"].append(Route("/v1/embeddings", embed, methods=["POST"]))
        self._own = [
            Route("/sandbox/health", self.health),
            Route("/sandbox/ledger", self.ledger),
            Route("/sandbox/faults", self.change_faults, methods=["GET", "POST"]),
            Route("/sandbox/convex", self.convex.control, methods=["GET", "POST"]),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or close its connection instead."""
        request = Request(scope, receive)
        try:
            response = await self._respond(scope, request)
        except DroppedError:
            await hang_up(scope, receive)
        else:
            await response(scope, receive, send)

    async def _respond(self, scope: Scope, request: Request) -> Response:
        if request.url.path.startswith("/sandbox/"):
            return await self._own_answer(scope, request)
        name = _provider(request.url.path, request.headers, request.query_params)
        speaker = self._speakers[name]
        route = _match(self._routes[name], scope)
        self.core.state.count(f"call {request.method} {route.path if route else 'unknown'}")
        try:
            answer = await self._answer(route, request)
        except ApiError as error:
            answer = speaker.refusal(error)
        if speaker.id_header:
            answer.headers.setdefault(speaker.id_header, new_id("req_"))
        return answer

    async def _answer(self, route: Route | None, request: Request) -> Response:
        if route is None:
            raise ApiError(404, f"Unknown request: {request.method} {request.url.path}")
        _check_key(request)
        self._strike()
        answer: Response = await route.endpoint(request)
        if self.core.faults.fires("slow"):
            # Late, not undone: what was asked for has happened.
            await asyncio.sleep(_SLOW_S)
        return answer

    async def _own_answer(self, scope: Scope, request: Request) -> Response:
        route = _match(self._own, scope)
        if route is None:
            return json_response({"error": "unknown path"}, 404)
        try:
            answer: Response = await route.endpoint(request)
        except ApiError as error:
            return json_response({"error": error.message}, error.status)
        except InputError as error:
            return json_response({"error": str(error)}, 400)
        return answer

    def _strike(self) -> None:
        faults = self.core.faults
        if faults.fires("rate_limit"):
            text = "Rate limit reached. Please try again in 1s."
            raise ApiError(429, text, code="rate_limit_exceeded", headers={"retry-after": "1"})
        if faults.fires("server_error"):
            raise ApiError(500, "The server had an error while processing your request.")
        if faults.fires("unavailable"):
            raise ApiError(503, "The service is currently unavailable.")

    async def health(self, _: Request) -> Response:
        """Answer as soon as the sandbox can take requests."""
        return json_response({"status": "ok"})

    async def ledger(self, request: Request) -> Response:
        """Every batch ever accepted and what was billed; pretty, since people read it."""
        with_tokens = "tokens" in request.query_params
        content = ledger(self.core, self.wires, with_tokens=with_tokens)
        return Response(
            orjson.dumps(content, option=orjson.OPT_INDENT_2), media_type="application/json"
        )

    async def change_faults(self, request: Request) -> Response:
        """Set some rates from a JSON object and answer with all of them."""
        if request.method == "POST":
            self.core.faults.change(await read_json(request))
        return json_response(self.core.faults.rates)


def _provider(path: str, headers: Headers, query: QueryParams) -> str:
    """Tell who is meant where paths collide: OpenAI and Gemini both have `/v1/files`."""
    if path.startswith("/openai/"):
        return "groq"
    if path.startswith("/api/"):
        return "convex"
    if path.startswith("/v1/messages") or "anthropic-version" in headers:
        return "anthropic"
    if path.startswith(("/v1beta/", "/upload/")) or "x-goog-api-key" in headers or "key" in query:
        return "google"
    return "openai"


def _match(routes: list[Route], scope: Scope) -> Route | None:
    for route in routes:
        match, child = route.matches(scope)
        if match == Match.FULL:
            scope.update(child)
            return route
    return None


def _check_key(request: Request) -> None:
    if request.url.path.startswith("/upload/") and "upload_id" in request.query_params:
        return
    keys = [request.headers.get(name, "") for name in _KEY_HEADERS]
    given = next(filter(None, keys), request.query_params.get("key", ""))
    key = given.removeprefix("Bearer").strip()
    if not key:
        raise ApiError(401, "You didn't provide an API key.", kind="authentication_error")
    if key == "wrong" or key.startswith("invalid"):
        text = "Incorrect API key provided."
        raise ApiError(401, text, kind="authentication_error", code="invalid_api_key")
