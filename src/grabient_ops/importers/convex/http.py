"""Talks to a Convex deployment: JSON by HTTP, retried where that can help, errors in our words."""

import random
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from grabient_ops.errors import (
    AuthenticationError,
    ConfigError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from grabient_ops.loopback import is_loopback

_NAME = "convex"
_CLIENT = "grabient-ops-1"
_CONNECT_S, _READ_S = 10.0, 90.0
_TRIES = 8
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_LONGEST_MESSAGE = 500
_Shape = TypeVar("_Shape")

Pause = Callable[[float], bool]
"""Waits so many seconds; True ends the waiting for good."""


class RefusedError(InvalidRequestError):
    """The deployment refuses a request; `code` is its own word for why."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(_NAME, message)
        self.code = code


class _Problem(msgspec.Struct):
    """The body of every error."""

    code: str = ""
    message: str = ""


class _Called(msgspec.Struct, rename="camel"):
    """The answer to a function call; its failure is no failure of HTTP."""

    status: str
    error_message: str = ""


class ConvexHttp:
    """One deployment.

    Args:
        url: its address, such as `http://127.0.0.1:3210`.
        key: a deploy key, or the admin key of one's own server.
        pause: how to wait before another try.

    Attributes:
        is_open_to_listeners: whether the key travels a network in the clear.

    Raises:
        ConfigError: the address is none of the web.
    """

    def __init__(self, url: str, key: str, pause: Pause) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{url!r} is no address of a Convex deployment")
        self.is_open_to_listeners = parts.scheme == "http" and not is_loopback(parts.hostname)
        self._key = key
        self._pause = pause
        self._client = httpx2.Client(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Convex {key}", "convex-client": _CLIENT},
            timeout=httpx2.Timeout(_READ_S, connect=_CONNECT_S),
        )

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def post(self, path: str, body: Mapping[str, Any], shape: type[_Shape]) -> _Shape:
        """Send JSON and return the answer. It may be sent several times.

        Raises:
            AuthenticationError: the key is not good for this.
            NotFoundError: the deployment knows no such path.
            RefusedError: it will not do this.
            RateLimitedError, UnavailableError: it did not answer, however often it was asked.
        """
        for attempt in range(_TRIES):
            try:
                return self._post(path, body, shape)
            except (RateLimitedError, UnavailableError) as error:
                if attempt == _TRIES - 1 or self._pause(_wait_s(error, attempt)):
                    raise
        raise AssertionError  # the last try has returned or raised

    def mutate(self, path: str, args: Mapping[str, Any]) -> None:
        """Call a mutation, possibly several times: it has to be idempotent.

        Raises:
            ProviderError: as `post`; RefusedError also when the mutation itself has failed.
        """
        body = {"path": path, "args": args, "format": "json"}
        called = self.post("/api/mutation", body, _Called)
        if called.status != "success":
            raise RefusedError(self._legible(called.error_message) or "it failed", "mutation")

    def _post(self, path: str, body: Mapping[str, Any], shape: type[_Shape]) -> _Shape:
        content = msgspec.json.encode(body)
        headers = {"content-type": "application/json"}
        try:
            answer = self._client.post(path, content=content, headers=headers)
        except httpx2.HTTPError as error:
            what = f"{type(error).__name__}: {self._legible(str(error))}"
            raise UnavailableError(_NAME, what) from error
        if answer.status_code != httpx2.codes.OK:
            raise self._error(answer)
        try:
            return msgspec.json.decode(answer.content, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnavailableError(_NAME, f"{path} gave something else: {error}") from error

    def _error(self, answer: httpx2.Response) -> ProviderError:
        status = answer.status_code
        try:
            problem = msgspec.json.decode(answer.content, type=_Problem)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            problem = _Problem()
        words = ": ".join(filter(None, (problem.code, problem.message))) or f"status {status}"
        message = self._legible(words)
        if status in {401, 403}:
            return AuthenticationError(_NAME, message)
        if status == 404:
            return NotFoundError(_NAME, message)
        if status in {425, 429}:
            return RateLimitedError(_NAME, message, _seconds(answer.headers.get("retry-after")))
        if status >= 500:
            return UnavailableError(_NAME, message)
        return RefusedError(message, problem.code)

    def _legible(self, text: str) -> str:
        """Cut a text that comes from outside, and take the key out of it."""
        return " ".join(text.replace(self._key, "***").split())[:_LONGEST_MESSAGE]


def _wait_s(error: ProviderError, attempt: int) -> float:
    told = error.retry_after_s if isinstance(error, RateLimitedError) else None
    own = _FIRST_WAIT_S * 2.0**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    return min(max(own, told or 0), _LONGEST_WAIT_S)


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
