"""Tokens of one answer, in one shape for all providers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed.

    Attributes:
        input_tokens: everything that was read, cached parts included.
        output_tokens: everything that was written, reasoning ("thoughts", "thinking") included.
        cached_tokens: the part of `input_tokens` that came from a cache.
        reasoning_tokens: the part of `output_tokens` that was never shown.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )
