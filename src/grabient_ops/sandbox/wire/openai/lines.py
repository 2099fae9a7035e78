"""Batch lines of OpenAI and Groq: chat completions in, chat completions out."""

from dataclasses import dataclass

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.dialect import JsonObject, Place, Problem, is_number, text_of
from grabient_ops.sandbox.lifecycle import Stage
from grabient_ops.sandbox.personas.instructions import more_keys
from grabient_ops.sandbox.personas.talk import Answer, Ask
from grabient_ops.sandbox.wire import fields, pictures
from grabient_ops.sandbox.wire.openai.content import check_content

ENDPOINT = "/v1/chat/completions"

_LINE_FIELDS = {"custom_id": str, "method": str, "url": str, "body": dict}
_ROLES = ("system", "developer", "user", "assistant", "tool")
_FORMATS = ("text", "json_object", "json_schema")
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_EFFORTS = {
    "openai": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "groq": ("none", "default", "low", "medium", "high"),
}
_UNSUPPORTED = "Unsupported value: '{0}' does not support {1} with this model. {2}"
_INVALID = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """`custom_id`, `method`, `url`, `body` in; `custom_id`, `response`, `error` out.

    Attributes:
        provider: `openai` or `groq`.
    """

    provider: str

    def screen(self, line: JsonObject, batch_model: str | None) -> Problem | None:
        """Refuse lines that are no request of a batch, of this endpoint, of this batch's model."""
        for name, kind in _LINE_FIELDS.items():
            if not isinstance(line.get(name), kind):
                text = f"Missing required parameter: '{name}'."
                return Problem(text, "missing_required_parameter", name)
        unknown = [name for name in line if name not in _LINE_FIELDS]
        if unknown:
            return Problem(f"Unknown parameter: '{unknown[0]}'.", "unknown_parameter", unknown[0])
        if line["method"] != "POST":
            return Problem("The method must be POST.", "invalid_method", "method")
        if line["url"] != ENDPOINT:
            text = f"The URL '{line['url']}' does not match the batch's endpoint '{ENDPOINT}'."
            return Problem(text, "url_mismatch", "url")
        return self._screen_model(line["body"].get("model"), batch_model)

    def _screen_model(self, model: object, batch_model: str | None) -> Problem | None:
        if not isinstance(model, str):
            return Problem("You must provide a model parameter.", "missing_model", "body.model")
        if batch_model is not None:
            text = f"The batch's model is '{batch_model}', this line asks for '{model}'."
            return Problem(text, "model_mismatch", "body.model") if model != batch_model else None
        if limits.is_known(self.provider, model):
            return None
        if self.provider == "groq" and limits.is_retired("groq", model):
            text = f"The model `{model}` has been decommissioned and is no longer supported."
            return Problem(text, "model_decommissioned", "body.model")
        text = f"The provided model '{model}' does not exist or is not supported by the Batch API."
        return Problem(text, "model_not_found", "body.model")

    def model(self, line: JsonObject) -> str | None:
        """Every line names the model."""
        return str(line["body"]["model"])

    def key(self, line: JsonObject) -> str:
        """Return the `custom_id`."""
        return str(line["custom_id"])

    def body(self, line: JsonObject) -> JsonObject:
        """Return the chat completion request; a null is as good as nothing."""
        return {name: value for name, value in line["body"].items() if value is not None}

    def check(self, body: JsonObject) -> Problem | None:
        """Validate one chat completion request."""
        known = fields.GROQ_CHAT if self.provider == "groq" else fields.CHAT
        for name in body:
            if name not in known:
                return Problem(f"Unrecognized request argument supplied: {name}", _INVALID, name)
        if body.get("stream"):
            return Problem("Streaming is not supported in a batch.", _INVALID, "stream")
        return (
            self._check_messages(body)
            or _check_format(body)
            or self._check_effort(body)
            or self._check_sampling(body)
        )

    def _check_effort(self, body: JsonObject) -> Problem | None:
        known = _EFFORTS[self.provider]
        effort = body.get("reasoning_effort", known[0])
        if effort in known:
            return None
        text = f"Invalid value: '{effort}'. Supported values are: {', '.join(known)}."
        return Problem(text, "invalid_value", "reasoning_effort")

    def _check_messages(self, body: JsonObject) -> Problem | None:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            text = "Invalid 'messages': expected a non-empty array."
            return Problem(text, "empty_array", "messages")
        for number, message in enumerate(messages):
            where = f"messages[{number}]"
            if not isinstance(message, dict) or message.get("role") not in _ROLES:
                return Problem(f"Invalid value: '{where}.role'.", "invalid_value", f"{where}.role")
            problem = check_content(self.provider, body["model"], message, where)
            if problem:
                return problem
        return None

    def _check_sampling(self, body: JsonObject) -> Problem | None:
        if self.provider == "openai" and limits.refuses_sampling(body["model"]):
            return _check_reasoning_model(body)
        for name, (least, most) in _RANGES.items():
            problem = _check_range(name, body.get(name, least), least, most)
            if problem:
                return problem
        if body.get("max_tokens") and body.get("max_completion_tokens"):
            text = "'max_tokens' and 'max_completion_tokens' cannot be set at the same time."
            return Problem(text, "invalid_parameter_combination", "max_tokens")
        limits_ = ("max_tokens", "max_completion_tokens", "n")
        return next(filter(None, (_check_limit(body, name) for name in limits_)), None)

    def schema(self, body: JsonObject) -> JsonObject | None:
        """Return the schema of `response_format`."""
        wanted = body.get("response_format") or {}
        found: JsonObject | None = (wanted.get("json_schema") or {}).get("schema")
        return found

    def ask(self, body: JsonObject) -> Ask:
        """Find the user's text, the wanted format and the settings."""
        contents = [message["content"] for message in body["messages"]]
        texts = list(map(text_of, contents))
        wanted = body.get("response_format") or {}
        return Ask(
            text=texts[-1],
            instruction_chars=sum(map(len, texts[:-1])),
            temperature=float(body.get("temperature", 1)),
            json_only=wanted.get("type") == "json_object",
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            thinks=limits.reasons(body["model"])
            and body.get("reasoning_effort") not in ("none", "minimal"),
            more_keys=more_keys("\n".join(texts[:-1])),
            pictures=pictures.count(contents, "image_url"),
        )

    def answered(self, key: str, answer: Answer, place: Place) -> JsonObject:
        """Build a line of the output file."""
        refused = answer.finish == "refusal"
        message: JsonObject = {"role": "assistant", "content": answer.text, "refusal": None}
        if refused:
            message |= {"content": None, "refusal": answer.text}
        return self._response(
            key,
            place,
            200,
            {
                "id": f"chatcmpl-{place.tag}{place.index}",
                "object": "chat.completion",
                "created": place.created,
                "model": answer.model,
                "choices": [
                    {
                        "index": 0,
                        "message": message,
                        "logprobs": None,
                        "finish_reason": "content_filter" if refused else answer.finish,
                    }
                ],
                "usage": _usage(answer),
                "system_fingerprint": "fp_sandbox",
            },
        )

    def rejected(self, key: str, problem: Problem, place: Place) -> JsonObject:
        """Build an error line as both providers do: 400 inside `response`, `error` null."""
        code = None if problem.code == _INVALID else problem.code
        error = {"message": problem.message, "type": _INVALID, "param": problem.param, "code": code}
        return self._response(key, place, 400, {"error": error})

    def failed(self, key: str, place: Place) -> JsonObject:
        """Build an error line of a kind that may pass: 500, 503 and 429 in turn."""
        status, kind, text = _FAILURES[place.index % len(_FAILURES)]
        error = {"message": text, "type": kind, "param": None, "code": None}
        return self._response(key, place, status, {"error": error})

    def unreached(self, key: str, end: Stage, place: Place) -> JsonObject:
        """Build an error line without a response."""
        if end == Stage.EXPIRED:
            text = "This request could not be executed before the completion window expired."
            error = {"code": "batch_expired", "message": text}
        else:
            text = "This request was not executed because the batch was cancelled."
            error = {"code": "batch_cancelled", "message": text}
        return self._line(key, place, None, error)

    def _response(self, key: str, place: Place, status: int, body: JsonObject) -> JsonObject:
        request_id = f"req_{place.tag}{place.index}"
        response = {"status_code": status, "request_id": request_id, "body": body}
        return self._line(key, place, response, None)

    @staticmethod
    def _line(
        key: str, place: Place, response: JsonObject | None, error: JsonObject | None
    ) -> JsonObject:
        line_id = f"batch_req_{place.tag}{place.index}"
        return {"id": line_id, "custom_id": key, "response": response, "error": error}


_FAILURES = (
    (500, "server_error", "The server had an error while processing your request."),
    (503, "service_unavailable", "The engine is currently overloaded, please try again later."),
    (429, "rate_limit_exceeded", "Rate limit reached. Please try again in 1s."),
)


def _check_format(body: JsonObject) -> Problem | None:
    wanted = body.get("response_format")
    if wanted is None:
        return None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in _FORMATS:
        return Problem("Invalid value: 'response_format.type'.", "invalid_value", "response_format")
    if kind == "json_schema":
        return _check_schema(wanted.get("json_schema"))
    said = "".join(text_of(message["content"]) for message in body["messages"]).lower()
    if kind == "json_object" and "json" not in said:
        text = "'messages' must contain the word 'json' in some form, to use 'response_format'."
        return Problem(text, _INVALID, "messages")
    return None


def _check_schema(given: object) -> Problem | None:
    named = isinstance(given, dict) and isinstance(given.get("name"), str)
    if isinstance(given, dict) and named and isinstance(given.get("schema"), dict):
        return None
    missing = "response_format.json_schema." + ("schema" if named else "name")
    text = f"Missing required parameter: '{missing}'."
    return Problem(text, "missing_required_parameter", missing)


def _check_reasoning_model(body: JsonObject) -> Problem | None:
    for name in ("temperature", "top_p", "n"):
        if body.get(name, 1) != 1:
            text = _UNSUPPORTED.format(name, body[name], "Only the default (1) value is supported.")
            return Problem(text, "unsupported_value", name)
    if "max_tokens" in body:
        text = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        return Problem(text, "unsupported_parameter", "max_tokens")
    return _check_limit(body, "max_completion_tokens")


def _check_range(name: str, value: object, least: float, most: float) -> Problem | None:
    if is_number(value, least, most):
        return None
    text = f"Invalid '{name}': expected a number from {least} to {most}, but got {value!r}."
    if not is_number(value, float("-inf")):
        return Problem(text, "invalid_type", name)
    below = is_number(value, float("-inf"), least)
    return Problem(text, f"decimal_{'below_min' if below else 'above_max'}_value", name)


def _check_limit(body: JsonObject, name: str) -> Problem | None:
    limit = body.get(name)
    if limit is None or (isinstance(limit, int) and is_number(limit, 1)):
        return None
    text = f"Invalid '{name}': expected an integer of at least 1, but got {limit}."
    return Problem(text, "integer_below_min_value", name)


def _usage(answer: Answer) -> JsonObject:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }
