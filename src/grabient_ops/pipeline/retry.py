"""How a failed call to a provider is repeated: five tries, 1 s doubling, jitter, `retry-after`."""

import random

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from grabient_ops.errors import ProviderError, RateLimitedError

MAX_TRIES = 5
_RETRY_AFTER_CAP_S = 120.0


def is_retryable(error: BaseException) -> bool:
    """Whether the same call may succeed later, unchanged."""
    return isinstance(error, ProviderError) and error.retryable


def delay_s(tries: int, first_s: float, error: BaseException | None) -> float:
    """Return the wait after so many tries (from 1): doubled each time, plus or minus a quarter."""
    if isinstance(error, RateLimitedError) and error.retry_after_s is not None:
        return min(error.retry_after_s, _RETRY_AFTER_CAP_S) + random.uniform(0, first_s)  # noqa: S311 - jitter
    return first_s * 2.0 ** min(tries - 1, 6) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


def retrying(first_s: float) -> AsyncRetrying:
    """Return the policy of one call that may be repeated whatever became of it."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return delay_s(state.attempt_number, first_s, error)

    return AsyncRetrying(
        stop=stop_after_attempt(MAX_TRIES),
        wait=wait,
        retry=retry_if_exception(is_retryable),
        reraise=True,
    )
