"""What every provider promises when its API misbehaves: the sandbox's faults, one by one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grabient_ops.errors import (
    NotFoundError,
    QuotaError,
    RateLimitedError,
    UnavailableError,
)
from grabient_ops.providers.base import (
    PROVIDERS,
    Answered,
    BatchEnded,
    BatchRejected,
    Failed,
    ProviderName,
    Submission,
    Unreadable,
)
from grabient_ops.tagging.outcome import ErrorClass

Lab = Any
SubmissionOf = Callable[..., Submission]

each_provider = pytest.mark.parametrize("name", PROVIDERS)


@each_provider
def test_what_an_expired_batch_has_answered_is_delivered(
    lab: Lab, submission: SubmissionOf, tmp_path: Path, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(expire=1)
    batch_id = lab.created(provider, submission(provider, request_count=10))

    state = lab.ended(provider, batch_id)
    found = lab.results(provider, batch_id, tmp_path)

    assert isinstance(state, BatchEnded)
    assert state.how == "expired"
    answered = [result for result in found if isinstance(result, Answered)]
    expired = [r for r in found if isinstance(r, Failed) and r.error_class is ErrorClass.EXPIRED]
    counts = (len(answered), len(expired))
    assert counts == ((0, 0) if name == "google" else (6, 4))


@pytest.mark.parametrize("name", ["openai", "groq", "google"])
def test_a_batch_that_fails_validation_is_rejected_with_its_reason(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(reject=1)

    state = lab.ended(provider, lab.created(provider, submission(provider)))

    assert isinstance(state, BatchRejected)
    assert state.reason not in {"", "no reason given"}
    assert not state.queue_full


@pytest.mark.parametrize("name", ["openai", "groq"])
def test_a_full_queue_is_told_from_a_bad_batch(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(queue_full=1)

    state = lab.ended(provider, lab.created(provider, submission(provider)))

    assert isinstance(state, BatchRejected)
    assert state.queue_full


@pytest.mark.parametrize("name", ["anthropic", "google"])
def test_a_full_queue_at_creation_creates_nothing(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    ours = lab.uploaded(provider, submission(provider))
    lab.faults(queue_full=1)

    with pytest.raises((RateLimitedError, QuotaError)) as caught:
        provider.create(ours)

    assert not caught.value.outcome_unknown
    assert provider.find(ours) == []


@each_provider
def test_a_download_that_ends_early_is_an_outage(
    lab: Lab, submission: SubmissionOf, tmp_path: Path, name: ProviderName
) -> None:
    provider = lab.provider(name)
    batch_id = lab.created(provider, submission(provider, request_count=20))
    lab.ended(provider, batch_id)
    lab.faults(truncated_download=1)

    with pytest.raises(UnavailableError):
        lab.results(provider, batch_id, tmp_path)

    lab.repair()
    assert len(lab.results(provider, batch_id, tmp_path)) == 20


@each_provider
def test_a_failing_poll_is_an_outage_that_passes(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(poll_500=1)
    batch_id = lab.created(provider, submission(provider))

    for _ in range(5):
        with pytest.raises(UnavailableError):
            provider.poll(batch_id)

    assert isinstance(lab.ended(provider, batch_id), BatchEnded)


@each_provider
def test_a_batch_that_is_not_visible_yet_is_not_found_and_comes_later(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(read_after_write_404=1)
    batch_id = lab.created(provider, submission(provider))

    with pytest.raises(NotFoundError) as caught:
        provider.poll(batch_id)

    assert caught.value.retryable


@each_provider
def test_a_rate_limit_says_how_long(lab: Lab, name: ProviderName) -> None:
    lab.faults(rate_limit=1)

    with pytest.raises(RateLimitedError) as caught:
        lab.provider(name).poll("batches/1" if name == "google" else "batch_1")

    assert caught.value.retry_after_s == 1.0


@each_provider
def test_a_failed_listing_is_never_an_empty_one(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    ours = submission(provider)
    lab.faults(unavailable=1)

    with pytest.raises(UnavailableError):
        provider.find(ours)


@each_provider
def test_half_failed_batches_deliver_both_halves(
    lab: Lab, submission: SubmissionOf, tmp_path: Path, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(half_failed=1)
    batch_id = lab.created(provider, submission(provider, request_count=10))

    found = lab.results(provider, batch_id, tmp_path)

    failed = [result for result in found if isinstance(result, Failed)]
    assert (len(found), len(failed)) == (10, 5)
    assert all(failure.error_class.retryable for failure in failed)


@each_provider
def test_a_refused_request_is_final_and_the_others_are_answered(
    lab: Lab, submission: SubmissionOf, tmp_path: Path, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(rejected_lines=1)
    batch_id = lab.created(provider, submission(provider, request_count=10))

    found = lab.results(provider, batch_id, tmp_path)

    classes = [result.error_class for result in found if isinstance(result, Failed)]
    assert classes == [ErrorClass.INVALID_REQUEST] * 2
    assert len(found) == 10


@each_provider
def test_a_torn_line_costs_only_itself(
    lab: Lab, submission: SubmissionOf, tmp_path: Path, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(malformed_line=1)
    batch_id = lab.created(provider, submission(provider, request_count=10))

    found = lab.results(provider, batch_id, tmp_path)

    assert sum(isinstance(result, Answered) for result in found) == 9
    assert sum(isinstance(result, Unreadable) for result in found) == 2
