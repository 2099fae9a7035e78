"""Batch lines of Anthropic: `custom_id` and `params` in, `custom_id` and `result` out."""

from dataclasses import dataclass

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.dialect import JsonObject, Place, Problem, is_number, text_of
from grabient_ops.sandbox.lifecycle import Stage
from grabient_ops.sandbox.personas.instructions import more_keys
from grabient_ops.sandbox.personas.talk import Answer, Ask
from grabient_ops.sandbox.wire import fields, pictures
from grabient_ops.sandbox.wire.anthropic.content import check_content

NO_SAMPLING_SINCE = "2026-10-21"
"""The API version from which on temperature, top_p and top_k are refused."""

_SAMPLING = ("temperature", "top_p", "top_k")
_REFUSED_IN_BATCH = ("stream", "speed")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_INVALID = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class MessagesDialect:
    """How one batch's requests are read; they are validated after the batch was accepted.

    Attributes:
        version: the `anthropic-version` header of the creation.
    """

    version: str

    def screen(self, line: JsonObject, batch_model: str | None) -> Problem | None:
        """Models mix freely, and the creation call has checked the rest."""
        del line, batch_model
        return None

    def model(self, line: JsonObject) -> str | None:
        """The first request's model stands for the batch in the ledger."""
        model = line["params"].get("model")
        return model if isinstance(model, str) else None

    def key(self, line: JsonObject) -> str:
        """Return the `custom_id`."""
        return str(line["custom_id"])

    def body(self, line: JsonObject) -> JsonObject:
        """Return the message request."""
        params: JsonObject = line["params"]
        return params

    def check(self, body: JsonObject) -> Problem | None:
        """Validate one message request."""
        for name in body:
            if name in _REFUSED_IN_BATCH:
                return Problem(f"{name}: not supported in a batch", _INVALID, name)
            if name not in fields.MESSAGES:
                return Problem(f"{name}: Extra inputs are not permitted", _INVALID, name)
        return (
            _check_model(body)
            or _check_max_tokens(body)
            or _check_messages(body)
            or self._check_sampling(body)
            or _check_thinking(body)
            or _check_output(body)
        )

    def _check_sampling(self, body: JsonObject) -> Problem | None:
        given = [name for name in _SAMPLING if name in body]
        if given and self.version >= NO_SAMPLING_SINCE:
            text = (
                f"{given[0]}: this parameter was removed in anthropic-version {NO_SAMPLING_SINCE}"
            )
            return Problem(text, _INVALID, given[0])
        for name in ("temperature", "top_p"):
            if not is_number(body.get(name, 1), 0, 1):
                return Problem(f"{name}: range: 0..1", _INVALID, name)
        top_k = body.get("top_k", 0)
        if not isinstance(top_k, int) or not is_number(top_k, 0):
            text = "top_k: Input should be greater than or equal to 0"
            return Problem(text, _INVALID, "top_k")
        return None

    def schema(self, body: JsonObject) -> JsonObject | None:
        """Return the schema of `output_config`."""
        wanted = (body.get("output_config") or {}).get("format") or {}
        found: JsonObject | None = wanted.get("schema")
        return found

    def ask(self, body: JsonObject) -> Ask:
        """Find the user's text, the wanted format and the settings."""
        contents = [message["content"] for message in body["messages"]]
        texts = list(map(text_of, contents))
        thinking = body.get("thinking") or {}
        instructions = [text_of(body.get("system")), *texts[:-1]]
        return Ask(
            text=texts[-1],
            instruction_chars=sum(map(len, instructions)),
            temperature=2.0 * float(body.get("temperature", 0.5)),
            max_tokens=body["max_tokens"],
            thinks=thinking.get("type") in {"enabled", "adaptive"},
            shows_thoughts=True,
            thinking_budget=thinking.get("budget_tokens"),
            more_keys=more_keys("\n".join(instructions)),
            pictures=pictures.count(contents, "image"),
            model=body["model"],
        )

    def answered(self, key: str, answer: Answer, place: Place) -> JsonObject:
        """Build a `succeeded` result."""
        content = [] if answer.finish == "refusal" else [{"type": "text", "text": answer.text}]
        if answer.thoughts:
            signed = {"thinking": answer.thoughts, "signature": f"c2FuZGJveA{place.index}"}
            content.insert(0, {"type": "thinking", **signed})
        message = {
            "id": f"msg_{place.tag}{place.index}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": _STOPS[answer.finish],
            "stop_sequence": None,
            "usage": _usage(answer),
        }
        return {"custom_id": key, "result": {"type": "succeeded", "message": message}}

    def rejected(self, key: str, problem: Problem, place: Place) -> JsonObject:
        """Build an `errored` result that no repetition will cure."""
        return _errored(key, problem.code, problem.message, place)

    def failed(self, key: str, place: Place) -> JsonObject:
        """Build an `errored` result that may pass."""
        if place.index % 4:
            return _errored(key, "api_error", "Internal server error", place)
        return _errored(key, "overloaded_error", "Overloaded", place)

    def unreached(self, key: str, end: Stage, place: Place) -> JsonObject:
        """Build an `expired` or `canceled` result."""
        del place
        kind = "expired" if end == Stage.EXPIRED else "canceled"
        return {"custom_id": key, "result": {"type": kind}}


_STOPS = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}


def _errored(key: str, kind: str, message: str, place: Place) -> JsonObject:
    error = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": f"req_{place.tag}{place.index}",
    }
    return {"custom_id": key, "result": {"type": "errored", "error": error}}


def _check_model(body: JsonObject) -> Problem | None:
    model = body.get("model")
    if not isinstance(model, str):
        return Problem("model: Field required", _INVALID, "model")
    if not limits.is_known("anthropic", model):
        return Problem(f"model: {model}", "not_found_error", "model")
    return None


def _check_max_tokens(body: JsonObject) -> Problem | None:
    most = body.get("max_tokens")
    if most is None:
        return Problem("max_tokens: Field required", _INVALID, "max_tokens")
    if not isinstance(most, int) or not is_number(most, 1):
        text = "max_tokens: Input should be greater than or equal to 1"
        return Problem(text, _INVALID, "max_tokens")
    return None


def _check_messages(body: JsonObject) -> Problem | None:
    messages = body.get("messages")
    if not isinstance(body.get("system", ""), str | list):
        return Problem("system: Input should be a valid string or list", _INVALID, "system")
    if not isinstance(messages, list) or not messages:
        return Problem("messages: at least one message is required", _INVALID, "messages")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            text = f"messages.{number}.role: Input should be 'user' or 'assistant'"
            return Problem(text, _INVALID, "messages")
        problem = check_content(message, f"messages.{number}")
        if problem:
            return problem
    return None


def _check_thinking(body: JsonObject) -> Problem | None:
    thinking = body.get("thinking")
    if thinking is None:
        return None
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in ("enabled", "disabled", "adaptive"):
        return Problem(
            "thinking.type: Input should be 'enabled' or 'disabled'", _INVALID, "thinking"
        )
    if kind == "disabled":
        return None
    if kind == "adaptive" and not limits.thinks_adaptively(body["model"]):
        return Problem("adaptive thinking is not supported on this model", _INVALID, "thinking")
    problem = _check_budget(thinking, body["max_tokens"]) if kind == "enabled" else None
    return problem or _check_calm(body)


def _check_budget(thinking: JsonObject, most: int) -> Problem | None:
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < 1024:
        text = "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        return Problem(text, _INVALID, "thinking")
    if budget >= most:
        text = "`max_tokens` must be greater than `thinking.budget_tokens`."
        return Problem(text, _INVALID, "max_tokens")
    return None


def _check_calm(body: JsonObject) -> Problem | None:
    """Who thinks may not be made to sample otherwise than by default."""
    if body.get("temperature", 1) != 1:
        text = "`temperature` may only be set to 1 when thinking is enabled."
        return Problem(text, _INVALID, "temperature")
    if "top_k" in body or not is_number(body.get("top_p", 1), 0.95, 1):
        text = "`top_k` must be unset and `top_p` at least 0.95 when thinking is enabled."
        return Problem(text, _INVALID, "top_k")
    return None


def _check_output(body: JsonObject) -> Problem | None:
    config = body.get("output_config")
    if config is None:
        return None
    if not isinstance(config, dict) or set(config) - {"format", "effort", "task_budget"}:
        return Problem("output_config: Extra inputs are not permitted", _INVALID, "output_config")
    if (config.get("effort") or "high") not in _EFFORTS:
        text = f"output_config.effort: Input should be one of {', '.join(_EFFORTS)}"
        return Problem(text, _INVALID, "output_config.effort")
    wanted = config.get("format")
    if wanted is None:
        return None
    if (
        not isinstance(wanted, dict)
        or wanted.get("type") != "json_schema"
        or "schema" not in wanted
    ):
        text = "output_config.format: Input should be {'type': 'json_schema', 'schema': ...}"
        return Problem(text, _INVALID, "output_config.format")
    return None


def _usage(answer: Answer) -> JsonObject:
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"thinking_tokens": answer.reasoning_tokens},
        "service_tier": "batch",
    }
