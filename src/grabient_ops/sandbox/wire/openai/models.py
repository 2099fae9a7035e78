"""The model lists of OpenAI and Groq: what they show, and no more, is described under its id."""

from starlette.requests import Request
from starlette.responses import Response

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.http import ApiError, Call, JsonObject, json_response


class OpenAIModels:
    """`/models` of OpenAI or Groq."""

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def calls(self) -> list[Call]:
        """(method, path behind the prefix, handler); ids of Groq hold slashes."""
        return [("GET", "/models", self.listed), ("GET", "/models/{id:path}", self.get)]

    async def listed(self, _: Request) -> Response:
        """Some models; a batch may ask others of the same family, too."""
        data = list(map(_model, limits.KNOWN[self._provider]))
        return json_response({"object": "list", "data": data})

    async def get(self, request: Request) -> Response:
        """Describe one."""
        model = request.path_params["id"]
        if not limits.is_listed(self._provider, model):
            text = f"The model '{model}' does not exist or you do not have access to it."
            raise ApiError(404, text, code="model_not_found", param="model")
        return json_response(_model(model))


def _model(model: str) -> JsonObject:
    return {"id": model, "object": "model", "created": 1_700_000_000, "owned_by": "sandbox"}
