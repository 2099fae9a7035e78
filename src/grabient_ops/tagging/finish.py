"""Reads why a model stopped, in any provider's words."""

from grabient_ops.tagging.outcome import ErrorClass

_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
_REFUSED = frozenset(
    {
        "refusal",
        "refused",
        "content_filter",
        "safety",
        "image_safety",
        "recitation",
        "language",
        "blocklist",
        "prohibited_content",
        "spii",
    }
)


def last_word(finish_reason: str | None) -> str:
    """Return a finish reason without case and without the name of its enum."""
    return (finish_reason or "").rpartition(".")[2].lower()


def ended_early(finish_reason: str | None) -> ErrorClass | None:
    """Return `refused` or `truncated` when the model did not come to its own end."""
    word = last_word(finish_reason)
    if word in _REFUSED:
        return ErrorClass.REFUSED
    return ErrorClass.TRUNCATED if word in _CUT else None


def refusal(finish_reason: str | None) -> str:
    """Say in a sentence that the model refused."""
    return f"The model refused or was stopped by a filter ({last_word(finish_reason)})."
