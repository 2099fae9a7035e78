"""One SDK's exceptions become our errors here: status first, text second, secrets never."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import orjson

from grabient_ops.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnavailableError,
)

_SECRETS = re.compile(r"\b(?:sk|gsk|xai)[-_][\w*.\-]{6,}|\bAIza[\w\-]{10,}|(?<=Bearer )\S+")
# Google's ordinary 429 also speaks of "plan and billing details": that phrase proves nothing.
_QUOTA = re.compile(
    r"insufficient_quota|billing_(?:hard_)?limit|spend(?:ing)?[ _-](?:limit|cap)|credit balance"
    r"|enqueued token|perday",
    re.IGNORECASE,
)
_BAD_KEY = re.compile(r"API_KEY_INVALID|API key (?:not valid|expired)", re.IGNORECASE)
_RETRY_DELAY = re.compile(r'"retryDelay":\s*"([\d.]+)s"')
# The transports of the four SDKs are two separate packages with classes of the same names.
_NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}
_LONGEST_MESSAGE = 500


class HttpResponse(Protocol):
    """What `httpx.Response` and `httpx2.Response` have in common."""

    @property
    def status_code(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers; look-ups ignore case."""

    @property
    def content(self) -> bytes:
        """The body, already read."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The border between one SDK and us.

    Attributes:
        provider: whose API lies behind it.
        secret: the API key, cut out of every message.
        kinds: the exceptions that the SDK and its transport raise.
    """

    provider: str
    secret: str = field(repr=False)
    kinds: tuple[type[Exception], ...]

    @contextmanager
    def crossing(self) -> Iterator[None]:
        """Run SDK calls; what they raise leaves as one of `grabient_ops.errors`."""
        try:
            yield
        except self.kinds as error:
            raise self._converted(error) from None  # the SDK's text may hold the key

    def json(self, content: bytes) -> dict[str, Any]:
        """Parse an answer's body.

        Raises:
            UnavailableError: it is no JSON object, as when a proxy answers in the API's place.
        """
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise UnavailableError(self.provider, "answered with something that is no JSON object")
        return body

    def text(self, body: Mapping[str, Any], field: str) -> str:
        """The text that an answer must hold under `field`, such as its id.

        Raises:
            UnavailableError: it is not there, so what has happened is unknown.
        """
        value = body.get(field)
        if isinstance(value, str) and value:
            return value
        raise UnavailableError(self.provider, f"answered without {field!r}")

    def _converted(self, error: Exception) -> ProviderError:
        response = getattr(error, "response", None)
        if response is not None:
            return from_response(self.provider, self.secret, response)
        cause = error.__cause__ or error
        text = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
        return UnavailableError(
            self.provider,
            _one_line(text, self.secret),
            outcome_unknown=type(cause).__name__ not in _NEVER_SENT,
        )


def from_response(provider: str, secret: str, response: HttpResponse) -> ProviderError:
    """The error that an HTTP answer stands for.

    A success that the SDK could not understand is an outage: what was asked for may be done.
    """
    status = response.status_code
    text = response.content.decode(errors="replace")
    message = _one_line(_message(response.content) or f"HTTP {status}", secret)
    if status == 402 or (status in {400, 403, 429} and _QUOTA.search(text)):
        return QuotaError(provider, message)
    if status == 429:
        return RateLimitedError(provider, message, _retry_after_s(response.headers, text))
    if status in {401, 403} or (status == 400 and _BAD_KEY.search(text)):
        return AuthenticationError(provider, _with_plan_advice(message, text))
    if status == 404:
        return NotFoundError(provider, message)
    if status < 300 or status == 408 or status >= 500:
        return UnavailableError(provider, message)
    return InvalidRequestError(provider, message)


def _message(content: bytes) -> str:
    """The human part of an error body: every provider's JSON shape, else the text itself."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else content.decode(errors="replace")


def _one_line(text: str, secret: str) -> str:
    if secret:
        text = text.replace(secret, "***")
    line = " ".join(_SECRETS.sub("***", text).split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."


def _with_plan_advice(message: str, text: str) -> str:
    if "not_available_for_plan" in text:
        return f"{message} (batches need a paid plan at this provider)"
    return message


def _retry_after_s(headers: Mapping[str, str], text: str) -> float | None:
    """Seconds to wait as the provider says it, in a header or in Google's error details."""
    if delay := _RETRY_DELAY.search(text):
        return _seconds(delay[1])
    if milliseconds := _seconds(headers.get("retry-after-ms", "")):
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    return _seconds(value) if _seconds(value) is not None else _seconds_until(value)


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _seconds_until(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
