"""How one request can fail, and whether asking again makes sense."""

from enum import StrEnum


class ErrorClass(StrEnum):
    """Why a request has no tags; stored beside the raw answer."""

    INVALID_REQUEST = "invalid_request"
    """The provider refused this request; the same words will be refused again."""
    EXPIRED = "expired"
    """The batch ended before this request was answered; nothing was billed."""
    CANCELED = "canceled"
    """Somebody cancelled the batch; asking again is the operator's decision."""
    REFUSED = "refused"
    """The model declined to answer, or a safety filter stopped it."""
    TRUNCATED = "truncated"
    """The answer was cut at the token limit before it could be used."""
    UNPARSABLE = "unparsable"
    """The answer came whole but does not hold the ten fields."""
    OVERLOADED = "overloaded"
    """The provider failed on its side."""
    MISSING = "missing"
    """The batch ended and this request's line was in no file."""

    @property
    def retryable(self) -> bool:
        """Whether the same request may be sent again without an operator's word."""
        return self not in _FINAL


_FINAL = frozenset({ErrorClass.INVALID_REQUEST, ErrorClass.CANCELED, ErrorClass.REFUSED})
