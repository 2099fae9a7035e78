"""Errors that an operator may meet; each message is one sentence that says what to do.

GrabientError                       edges catch this: one line on stderr, exit 1
├─ ConfigError                      a setting is missing or wrong
├─ InputError                       a file or argument holds nothing usable
├─ StoreError                       the home, its lock or its database cannot be used
│  └─ OutdatedError                 another release has changed the schema under this process
└─ ProviderError(provider)
   ├─ AuthenticationError           the key is missing, wrong or not allowed
   ├─ InvalidRequestError           the provider refuses what was sent; sending it again is useless
   ├─ QuotaError                    credit, spend limit or queue is used up; time or money helps
   ├─ NotFoundError                 the provider does not know the id (yet)
   ├─ RateLimitedError              too many calls; `retry_after_s` when the provider says it
   └─ UnavailableError              5xx, time-out or lost connection; `outcome_unknown` for writes
"""

from typing_extensions import override


class GrabientError(Exception):
    """Base of every error whose message is meant for the operator."""


class ConfigError(GrabientError):
    """A setting is missing or wrong; the message names the variable."""


class InputError(GrabientError):
    """A file or an argument holds nothing usable."""


class StoreError(GrabientError):
    """The home, its lock or its database cannot be used."""


class OutdatedError(StoreError):
    """Another release has changed the schema under this process; only a new process may go on."""


class ProviderError(GrabientError):
    """A provider's API failed.

    Attributes:
        provider: `openai`, `anthropic`, `google` or `groq`.
        message: what the provider said, without secrets.
        retryable: whether the same call may succeed later, unchanged.
        outcome_unknown: whether the call may have taken effect although it failed. Never repeat a
            write after such an error before looking for its effect.
    """

    retryable = False
    outcome_unknown = False

    def __init__(self, provider: str, message: str) -> None:
        super().__init__(provider, message)  # the arguments as given, so that copies stay whole
        self.provider = provider
        self.message = message

    @override
    def __str__(self) -> str:
        return f"{self.provider}: {self.message}"


class AuthenticationError(ProviderError):
    """The key is missing, wrong, or not allowed to do this (401, 403)."""


class InvalidRequestError(ProviderError):
    """The provider refuses what was sent (400, 413, 422); nothing was created."""


class QuotaError(ProviderError):
    """Credit, spend limit or queue is used up; nothing was created."""


class NotFoundError(ProviderError):
    """The provider does not know the id; shortly after a creation this may pass."""

    retryable = True


class RateLimitedError(ProviderError):
    """Too many calls (429); nothing was created."""

    retryable = True

    def __init__(self, provider: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(provider, message)
        self.retry_after_s = retry_after_s


class UnavailableError(ProviderError):
    """5xx, a time-out or a lost connection: a write may or may not have taken effect.

    `outcome_unknown` is False only when the request never left: no connection came about.
    """

    retryable = True

    def __init__(self, provider: str, message: str, *, outcome_unknown: bool = True) -> None:
        super().__init__(provider, message)
        self.outcome_unknown = outcome_unknown
