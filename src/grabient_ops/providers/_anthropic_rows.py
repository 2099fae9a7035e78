"""One row of an Anthropic result file."""

from typing import Any

from grabient_ops.providers import _wire
from grabient_ops.providers.base import Answered, Failed, Result
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.usage import Usage

_PASSING = {"api_error", "overloaded_error", "rate_limit_error", "timeout_error", "billing_error"}


def read_row(custom_id: str, row: Any) -> Result:  # noqa: ANN401 - JSON of any shape
    """Turn one parsed row into a result, by its type's text; only `succeeded` is billed."""
    result = _wire.at(row, "result")
    match _wire.at(result, "type"):
        case "succeeded":
            return _answered(custom_id, _wire.at(result, "message"))
        case "errored":
            return _errored(custom_id, result)
        case "canceled":
            return Failed(custom_id, ErrorClass.CANCELED, "the batch was cancelled")
        case "expired":
            return Failed(custom_id, ErrorClass.EXPIRED, "the batch expired after 24 hours")
        case _:
            return Failed(custom_id, ErrorClass.OVERLOADED, _wire.verbatim(row))


def _answered(custom_id: str, message: object) -> Answered:
    blocks = _wire.list_at(message, "content")
    texts = (_wire.text_at(block, "text") for block in blocks if _wire.at(block, "type") == "text")
    return Answered(
        custom_id,
        "".join(text for text in texts if text),
        _wire.finish_reason(_wire.at(message, "stop_reason")),
        _wire.text_at(message, "model"),
        _usage(_wire.at(message, "usage")),
    )


def _errored(custom_id: str, result: object) -> Failed:
    outer = _wire.at(result, "error")
    error = _wire.at(outer, "error") or outer
    kind = _wire.text_at(error, "type") or "api_error"
    error_class = ErrorClass.OVERLOADED if kind in _PASSING else ErrorClass.INVALID_REQUEST
    return Failed(custom_id, error_class, _wire.text_at(error, "message") or _wire.verbatim(result))


def _usage(usage: object) -> Usage:
    """Anthropic counts cached input beside `input_tokens`; we count everything that was read."""
    cached = _wire.count_at(usage, "cache_read_input_tokens")
    written = _wire.count_at(usage, "cache_creation_input_tokens")
    return Usage(
        input_tokens=_wire.count_at(usage, "input_tokens") + written + cached,
        output_tokens=_wire.count_at(usage, "output_tokens"),
        cached_tokens=cached,
        reasoning_tokens=_wire.count_at(usage, "output_tokens_details", "thinking_tokens"),
    )
