"""One row of a Gemini result file."""

from typing import Any

from grabient_ops.providers import _wire
from grabient_ops.providers.base import Answered, Failed, Result
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.usage import Usage

_REFUSED_CODES = {3, 5, 6, 7, 9, 11, 12, 16}
"""gRPC codes that stay the same however often one asks: INVALID_ARGUMENT, NOT_FOUND, ...

CANCELLED (1) is none of them: Google writes it into single lines of batches that succeeded.
"""
_PASSING_STATUSES = {408, 409, 429}


def read_row(custom_id: str, row: Any) -> Result:  # noqa: ANN401 - JSON of any shape
    """Turn one parsed row into a result."""
    response = _wire.at(row, "response")
    if isinstance(response, dict) and response:
        return _answered(custom_id, response)
    error = _wire.at(row, "error")
    message = _wire.text_at(error, "message") or _wire.verbatim(row)
    return Failed(custom_id, _error_class(_wire.count_at(error, "code")), message)


def _answered(custom_id: str, response: dict[str, Any]) -> Answered:
    candidate = _wire.at(response, "candidates", 0)
    texts = [
        _wire.text_at(part, "text") or ""
        for part in _wire.list_at(candidate, "content", "parts")
        if _wire.at(part, "thought") is not True
    ]
    blocked = _wire.at(response, "promptFeedback", "blockReason") and not texts
    return Answered(
        custom_id,
        "".join(texts),
        "refusal" if blocked else _wire.finish_reason(_wire.at(candidate, "finishReason")),
        _wire.text_at(response, "modelVersion"),
        _usage(_wire.at(response, "usageMetadata")),
    )


def _usage(usage: object) -> Usage:
    """Google bills thoughts as output but counts them apart."""
    thoughts = _wire.count_at(usage, "thoughtsTokenCount")
    return Usage(
        input_tokens=_wire.count_at(usage, "promptTokenCount"),
        output_tokens=_wire.count_at(usage, "candidatesTokenCount") + thoughts,
        cached_tokens=_wire.count_at(usage, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )


def _error_class(code: int) -> ErrorClass:
    """Rows carry gRPC codes (1..16) or HTTP statuses."""
    final = code in _REFUSED_CODES or (400 <= code < 500 and code not in _PASSING_STATUSES)
    return ErrorClass.INVALID_REQUEST if final else ErrorClass.OVERLOADED
