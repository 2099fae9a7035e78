"""One row of an OpenAI or Groq result file, from the output or from the error file."""

from collections.abc import Mapping
from typing import Any

from grabient_ops.providers import _wire
from grabient_ops.providers.base import Answered, Failed, Result
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.usage import Usage

_FILTERED = {"content_filter", "content_policy_violation"}
_PASSING = {0, 408, 409, 429}
"""Statuses below 500 that may be another one the next time; 0 was seen at OpenAI."""


def read_row(custom_id: str, row: Any) -> Result:  # noqa: ANN401 - JSON of any shape
    """Turn one parsed row into a result; an error may stand at the top or in the body."""
    body = _wire.at(row, "response", "body")
    fields = body if isinstance(body, dict) else {}
    error = fields.get("error")
    if fields.get("choices") and not error:
        return _answered(custom_id, fields)
    error = _wire.at(row, "error") or error
    status = _wire.at(row, "response", "status_code")
    if error is None and status == 200 and isinstance(body, dict):
        return _answered(custom_id, body)
    return Failed(
        custom_id,
        _error_class(_wire.at(error, "code"), status),
        _message(error, row),
        _usage(fields),
    )


def _answered(custom_id: str, body: dict[str, Any]) -> Answered:
    choice = _wire.object_at(body, "choices", 0)
    message = _wire.object_at(choice, "message")
    refusal = _wire.text(message.get("refusal"))
    return Answered(
        custom_id,
        _text(message.get("content")) or refusal or "",
        "refusal" if refusal else _wire.finish_reason(choice.get("finish_reason")),
        _wire.text(body.get("model")),
        _usage(body),
    )


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(_wire.text_at(part, "text") or "" for part in content)
    return content if isinstance(content, str) else ""


def _usage(body: Mapping[str, Any]) -> Usage:
    usage = _wire.object_at(body, "usage")
    return Usage(
        input_tokens=_wire.count(usage.get("prompt_tokens")),
        output_tokens=_wire.count(usage.get("completion_tokens")),
        cached_tokens=_wire.count_at(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=_wire.count_at(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _error_class(code: object, status: object) -> ErrorClass:
    word = code if isinstance(code, str) else ""
    if "expired" in word:
        return ErrorClass.EXPIRED
    if "cancel" in word:
        return ErrorClass.CANCELED
    if word in _FILTERED:
        return ErrorClass.REFUSED
    if isinstance(status, int) and status < 500 and status not in _PASSING:
        return ErrorClass.INVALID_REQUEST
    return ErrorClass.OVERLOADED


def _message(error: object, row: object) -> str:
    if isinstance(error, str) and error:
        return error
    text = _wire.text_at(error, "message") or _wire.text_at(error, "code")
    return text or _wire.verbatim(row)
