"""Anthropic's model list: what it shows, and no more, is described under its id."""

from starlette.requests import Request
from starlette.responses import Response

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.http import ApiError, Call, JsonObject, json_response
from grabient_ops.sandbox.wire.anthropic.pages import listing, page_of


class AnthropicModels:
    """`/v1/models` of Anthropic."""

    def calls(self) -> list[Call]:
        """(method, path, handler)."""
        return [("GET", "/v1/models", self.listed), ("GET", "/v1/models/{id}", self.get)]

    async def listed(self, request: Request) -> Response:
        """Some models, in pages; a batch may ask others of the same family, too."""
        page, more = page_of(request, limits.KNOWN["anthropic"])
        data = list(map(_model, page))
        return json_response(listing(data, more=more))

    async def get(self, request: Request) -> Response:
        """Describe one; an alias is resolved."""
        model = request.path_params["id"]
        if not limits.is_listed("anthropic", model):
            raise ApiError(404, f"model: {model}")
        return json_response(_model(limits.dated(model)))


def _model(model: str) -> JsonObject:
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
    }
