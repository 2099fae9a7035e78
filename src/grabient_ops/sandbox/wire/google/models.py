"""Gemini's model list: what it shows, and no more, is described under its id."""

from starlette.requests import Request
from starlette.responses import Response

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.http import ApiError, Call, JsonObject, json_response
from grabient_ops.sandbox.wire.google.files import page_of


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
        page, token = page_of(request, list(limits.KNOWN["google"]))
        return json_response({"models": list(map(_model, page))} | token)

    async def get(self, request: Request) -> Response:
        """Describe one."""
        model = request.path_params["id"]
        if not limits.is_listed("google", model):
            raise ApiError(404, f"models/{model} is not found.")
        return json_response(_model(model))


def _model(model: str) -> JsonObject:
    return {
        "name": f"models/{model}",
        "displayName": model,
        "version": "001",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "batchGenerateContent"],
    }
