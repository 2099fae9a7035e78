import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from grabient_ops.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnavailableError,
)
from grabient_ops.providers.base import PROVIDERS, Provider, ProviderName

Stub = Any
SubmissionOf = Callable[..., Any]

BATCH = {"openai": "batch_1", "anthropic": "msgbatch_1", "google": "batches/1", "groq": "batch_1"}


def poll_error(stub: Stub, name: ProviderName) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        stub.provider(name).poll(BATCH[name])
    assert caught.value.provider == name
    return caught.value


def error_body(name: ProviderName, message: str, code: str = "") -> dict[str, Any]:
    match name:
        case "anthropic":
            kind = code or "api_error"
            return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}
        case "google":
            return {"error": {"code": 400, "message": message, "status": code, "details": []}}
        case "openai" | "groq":
            return {"error": {"message": message, "type": "x", "param": None, "code": code}}


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, InvalidRequestError, False),
        (401, AuthenticationError, False),
        (402, QuotaError, False),
        (403, AuthenticationError, False),
        (404, NotFoundError, True),
        (408, UnavailableError, True),
        (409, InvalidRequestError, False),
        (413, InvalidRequestError, False),
        (422, InvalidRequestError, False),
        (429, RateLimitedError, True),
        (500, UnavailableError, True),
        (503, UnavailableError, True),
        (529, UnavailableError, True),
    ],
)
def test_an_http_status_has_one_meaning_everywhere(
    stub: Stub, name: ProviderName, status: int, kind: type[ProviderError], *, retryable: bool
) -> None:
    stub.answers(status, error_body(name, "what  they\nsay"))

    error = poll_error(stub, name)

    assert type(error) is kind
    assert error.message == "what they say"
    assert error.retryable is retryable
    assert error.outcome_unknown is (kind is UnavailableError)
    assert len(stub.calls) == 1


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("openai", 429, error_body("openai", "You exceeded your quota", "insufficient_quota")),
        ("openai", 429, error_body("openai", "cap", "billing_hard_limit_reached")),
        ("groq", 400, error_body("groq", "Organization has reached its spend limit")),
        ("anthropic", 429, error_body("anthropic", "stop", "enforced_spend_limit_reached")),
        ("anthropic", 400, error_body("anthropic", "Your credit balance is too low")),
        ("google", 429, error_body("google", "GenerateRequestsPerDayPerProject")),
    ],
)
def test_a_used_up_budget_is_no_rate_limit(
    stub: Stub, name: ProviderName, status: int, body: object
) -> None:
    stub.answers(status, body)

    error = poll_error(stub, name)

    assert type(error) is QuotaError
    assert not error.retryable


def test_googles_ordinary_429_speaks_of_billing_but_is_a_rate_limit(stub: Stub) -> None:
    text = "You exceeded your current quota, please check your plan and billing details."
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}]
    stub.answers(429, {"error": {"code": 429, "message": text, "details": details}})

    error = poll_error(stub, "google")

    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 17.5


def test_googles_bad_key_comes_as_400(stub: Stub) -> None:
    stub.answers(400, error_body("google", "API key not valid. Please pass a valid API key."))

    assert type(poll_error(stub, "google")) is AuthenticationError


def test_a_plan_without_batches_is_named(stub: Stub) -> None:
    stub.answers(403, error_body("groq", "Forbidden", "not_available_for_plan"))

    error = poll_error(stub, "groq")

    assert type(error) is AuthenticationError
    assert "paid plan" in error.message


def in_one_hour() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        ({"retry_after": "in_one_hour"}, 3600.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_rate_limit_asks_for_is_read(
    stub: Stub, name: ProviderName, headers: dict[str, str], seconds: float | None
) -> None:
    if headers.get("retry_after") == "in_one_hour":
        headers = {"retry_after": in_one_hour()}
    stub.answers(429, error_body(name, "slow down"), **headers)

    error = poll_error(stub, name)

    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == (None if seconds is None else pytest.approx(seconds, abs=3))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_long_retry_after_is_reported_and_never_slept(stub: Stub, name: ProviderName) -> None:
    stub.answers(429, error_body(name, "slow down"), retry_after="4000000")

    error = poll_error(stub, name)

    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 4_000_000


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[]", b'"x"', b"\xff"])
def test_an_error_page_of_a_proxy_is_no_riddle(stub: Stub, name: ProviderName, body: bytes) -> None:
    stub.answers(502, body)

    error = poll_error(stub, name)

    assert type(error) is UnavailableError
    assert error.message


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"[]", b"null", b"7", b"{}"])
def test_a_creation_answered_with_nonsense_has_an_unknown_outcome(
    stub: Stub, submission: SubmissionOf, name: ProviderName, body: bytes
) -> None:
    provider = stub.provider(name)
    stub.answers(200, body)

    with pytest.raises(UnavailableError) as caught:
        provider.create(submission(provider))

    assert caught.value.outcome_unknown
    assert len(stub.calls) == 1


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_creation_answered_with_202_never_counts_as_refused(
    stub: Stub, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = stub.provider(name)
    stub.answers(202, {"status": "accepted"})

    with pytest.raises(UnavailableError) as caught:
        provider.create(submission(provider))

    assert caught.value.outcome_unknown


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_does_not_print_its_key(stub: Stub, name: ProviderName) -> None:
    provider = stub.provider(name, api_key="very-own-key-42")

    assert "very-own-key-42" not in f"{provider!r} {vars(provider)!r}"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"[]", b"null"])
def test_a_state_that_cannot_be_read_is_an_outage_and_not_an_end(
    stub: Stub, name: ProviderName, body: bytes
) -> None:
    stub.answers(200, body)

    assert type(poll_error(stub, name)) is UnavailableError


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_connection_that_breaks_has_an_unknown_outcome_and_one_request(
    stub: Stub, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = stub.provider(name)
    stub.hangs_up = True

    with pytest.raises(UnavailableError) as caught:
        provider.create(submission(provider))

    assert caught.value.outcome_unknown
    assert [method for method, _, _ in stub.calls] == ["POST"]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_sdk_repeats_a_creation(
    stub: Stub, submission: SubmissionOf, name: ProviderName, status: int
) -> None:
    provider = stub.provider(name)
    stub.answers(status, error_body(name, "no"), x_should_retry="true")

    with pytest.raises(ProviderError):
        provider.create(submission(provider))

    assert len(stub.calls) == 1
    assert stub.calls[0][2].get("x-stainless-retry-count", "0") == "0"


@pytest.mark.parametrize(
    ("name", "create_s"), [("openai", 120), ("anthropic", 600), ("google", 120), ("groq", 120)]
)
def test_no_call_waits_for_ever(
    stub: Stub, submission: SubmissionOf, name: ProviderName, create_s: float
) -> None:
    provider = stub.provider(name)
    stub.answers(500, error_body(name, "no"))

    with pytest.raises(UnavailableError):
        provider.cancel(BATCH[name])
    with pytest.raises(UnavailableError):
        provider.create(submission(provider))

    header = "x-server-timeout" if name == "google" else "x-stainless-read-timeout"
    assert [float(headers[header]) for _, _, headers in stub.calls] == [30, create_s]


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_refused_connection_is_known_to_have_done_nothing(
    offline: dict[ProviderName, Provider], submission: SubmissionOf, name: ProviderName
) -> None:
    with pytest.raises(UnavailableError, match="refused") as caught:
        offline[name].create(submission(offline[name]))

    assert not caught.value.outcome_unknown
    assert caught.value.retryable


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    "secret", ["sk-ant-abc123def456ghi", "gsk_abcdef1234567890", "AIzaSyD-abcdefghijklmnop"]
)
def test_a_key_never_leaves_in_a_message(stub: Stub, name: ProviderName, secret: str) -> None:
    stub.answers(401, error_body(name, f"Incorrect API key provided: {secret}. Bearer other-token"))

    with pytest.raises(AuthenticationError) as caught:
        stub.provider(name, api_key="very-own-key-42").poll(BATCH[name])
    assert "***" in caught.value.message
    assert secret not in str(caught.value)
    assert "other-token" not in str(caught.value)
    assert caught.value.__suppress_context__

    stub.answers(401, error_body(name, "no access for very-own-key-42"))
    with pytest.raises(AuthenticationError, match="no access for \\*\\*\\*"):
        stub.provider(name, api_key="very-own-key-42").poll(BATCH[name])


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_page_long_message_is_cut(stub: Stub, name: ProviderName) -> None:
    stub.answers(400, error_body(name, "x" * 10_000))

    assert len(poll_error(stub, name).message) < 600


def test_an_error_survives_being_copied_and_pickled() -> None:
    error = RateLimitedError("groq", "slow down", 7.0)

    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
        assert (str(twin), twin.retry_after_s) == ("groq: slow down", 7.0)


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_answer_nested_too_deeply_for_the_sdk_is_one_of_our_errors(
    stub: Stub, name: ProviderName
) -> None:
    stub.answers(500, b'{"error":' * 1020 + b"1" + b"}" * 1020)

    assert isinstance(poll_error(stub, name), UnavailableError)
