"""The model lists of the four: what they show, and no more, is described under its id."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.http import ApiError, JsonObject, json_response
from grabient_ops.sandbox.wire import anthropic_pages, gemini_files

Call = tuple[str, str, Callable[[Request], Any]]


class OpenAIModels:
    """`/models` of OpenAI or Groq."""

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def calls(self) -> list[Call]:
        """(method, path behind the prefix, handler); ids of Groq hold slashes."""
        return [("GET", "/models", self.listed), ("GET", "/models/{id:path}", self.get)]

    async def listed(self, _: Request) -> Response:
        """Some models; a batch may ask others of the same family, too."""
        data = list(map(_openai_model, limits.KNOWN[self._provider]))
        return json_response({"object": "list", "data": data})

    async def get(self, request: Request) -> Response:
        """Describe one."""
        model = request.path_params["id"]
        if not limits.is_listed(self._provider, model):
            text = f"The model '{model}' does not exist or you do not have access to it."
            raise ApiError(404, text, code="model_not_found", param="model")
        return json_response(_openai_model(model))


class AnthropicModels:
    """`/v1/models` of Anthropic."""

    def calls(self) -> list[Call]:
        """(method, path, handler)."""
        return [("GET", "/v1/models", self.listed), ("GET", "/v1/models/{id}", self.get)]

    async def listed(self, request: Request) -> Response:
        """Some models, in pages; a batch may ask others of the same family, too."""
        page, more = anthropic_pages.page_of(request, limits.KNOWN["anthropic"])
        data = list(map(_anthropic_model, page))
        return json_response(anthropic_pages.listing(data, more=more))

    async def get(self, request: Request) -> Response:
        """Describe one; an alias is resolved."""
        model = request.path_params["id"]
        if not limits.is_listed("anthropic", model):
            raise ApiError(404, f"model: {model}")
        return json_response(_anthropic_model(limits.dated(model)))


class GeminiModels:
    """`/models` of Gemini."""

    def calls(self) -> list[Call]:
        """(method, path behind the API version, handler)."""
        return [
            ("GET", "/models", self.listed),
            ("GET", "/models/{id}", self.get),
            ("GET", "/tunedModels", self.tuned),
        ]

    async def tuned(self, _: Request) -> Response:
        """Nobody has tuned any."""
        return json_response({})

    async def listed(self, request: Request) -> Response:
        """Some models, in pages; a batch may ask others of the same family, too."""
        page, token = gemini_files.page_of(request, list(limits.KNOWN["google"]))
        return json_response({"models": list(map(_gemini_model, page))} | token)

    async def get(self, request: Request) -> Response:
        """Describe one."""
        model = request.path_params["id"]
        if not limits.is_listed("google", model):
            raise ApiError(404, f"models/{model} is not found.")
        return json_response(_gemini_model(model))


def _openai_model(model: str) -> JsonObject:
    return {"id": model, "object": "model", "created": 1_700_000_000, "owned_by": "sandbox"}


def _anthropic_model(model: str) -> JsonObject:
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
    }


def _gemini_model(model: str) -> JsonObject:
    return {
        "name": f"models/{model}",
        "displayName": model,
        "version": "001",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "batchGenerateContent"],
    }
