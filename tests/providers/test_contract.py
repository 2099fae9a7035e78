"""What every provider promises, asked over the wire of the sandbox."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from grabient_ops.errors import (
    AuthenticationError,
    UnavailableError,
)
from grabient_ops.providers.base import (
    PROVIDERS,
    Answered,
    BatchEnded,
    BatchRunning,
    Failed,
    ProviderName,
    Submission,
)
from grabient_ops.providers.gate import gated

Lab = Any
SubmissionOf = Callable[..., Submission]

each_provider = pytest.mark.parametrize("name", PROVIDERS)


@each_provider
def test_every_request_comes_back_under_its_id(
    lab: Lab, submission: SubmissionOf, tmp_path: Path, name: ProviderName
) -> None:
    provider = lab.provider(name)
    ours = lab.uploaded(provider, submission(provider, request_count=5, input_file_id=None))

    batch_id = provider.create(ours)
    state = lab.ended(provider, batch_id)
    answers = lab.results(provider, batch_id, tmp_path)

    assert isinstance(state, BatchEnded)
    assert state.how == "completed"
    assert all(isinstance(answer, Answered) for answer in answers)
    ids = {answer.custom_id for answer in answers if isinstance(answer, Answered)}
    assert ids == {f"{ours.key}-{position}" for position in range(5)}
    assert all(a.usage.output_tokens > 0 for a in answers if isinstance(a, Answered))
    assert lab.batches()[batch_id]["requests"] == 5


@each_provider
def test_the_mark_goes_along_where_the_provider_takes_one(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    ours = lab.uploaded(provider, submission(provider))

    batch_id = provider.create(ours)

    metadata = lab.batches()[batch_id]["metadata"]
    assert (ours.key in metadata.values()) is provider.echoes_key


class _TooLateError(BaseException):
    pass


@each_provider
@pytest.mark.parametrize("allowed", [0, 1])
def test_nothing_is_created_when_the_last_look_forbids_it(
    lab: Lab, submission: SubmissionOf, name: ProviderName, allowed: int
) -> None:
    provider = lab.provider(name)
    ours = lab.uploaded(provider, submission(provider))
    before = set(lab.batches())
    looks = iter([None] * allowed)

    def look() -> None:
        for _ in looks:
            return
        raise _TooLateError

    with pytest.raises(_TooLateError), gated(look):
        provider.create(ours)
    assert set(lab.batches()) == before

    assert {provider.create(ours)} == set(lab.batches()) - before


@each_provider
@pytest.mark.parametrize("fault", ["accept_then_drop", "accept_then_500"])
def test_a_batch_whose_answer_was_lost_is_found_again(
    lab: Lab, submission: SubmissionOf, name: ProviderName, fault: str
) -> None:
    provider = lab.provider(name)
    ours = lab.uploaded(provider, submission(provider))
    before = set(lab.batches())

    lab.faults(**{fault: 1})
    with pytest.raises(UnavailableError) as caught:
        provider.create(ours)
    lab.repair()

    assert caught.value.outcome_unknown
    (created,) = set(lab.batches()) - before
    (found,) = provider.find(ours)
    assert (found.id, found.certain) == (created, provider.echoes_key)


@each_provider
def test_a_submission_that_was_never_created_is_not_found(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.created(provider, submission(provider, request_count=3))
    ours = lab.uploaded(provider, submission(provider, request_count=3))

    assert provider.find(ours) == []


@each_provider
def test_two_creations_of_one_submission_are_both_found_oldest_first(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    ours = lab.uploaded(provider, submission(provider, request_count=4))

    first = provider.create(ours)
    time.sleep(1.1 if name in {"openai", "groq"} else 0.01)  # their clocks tick in seconds
    second = provider.create(ours)

    assert [found.id for found in provider.find(ours)] == [first, second]


def test_an_anthropic_batch_of_another_size_is_no_candidate(
    lab: Lab, submission: SubmissionOf
) -> None:
    provider = lab.provider("anthropic")
    ours = lab.uploaded(provider, submission(provider, request_count=3))

    provider.create(submission(provider, request_count=2))

    assert provider.find(ours) == []


@each_provider
def test_a_second_upload_is_harmless(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    ours = lab.uploaded(provider, submission(provider))

    again = lab.uploaded(provider, ours)

    assert (again.input_file_id is None) is (name == "anthropic")
    assert isinstance(lab.ended(provider, provider.create(again)), BatchEnded)


@each_provider
def test_a_canceled_batch_ends_and_may_be_canceled_again(
    lab: Lab, submission: SubmissionOf, tmp_path: Path, name: ProviderName
) -> None:
    provider = lab.provider(name)
    lab.faults(stuck=1)
    batch_id = lab.created(provider, submission(provider, request_count=10))
    assert isinstance(provider.poll(batch_id), BatchRunning)

    provider.cancel(batch_id)
    state = lab.ended(provider, batch_id)
    provider.cancel(batch_id)

    assert isinstance(state, BatchEnded)
    assert state.how == "canceled"
    kinds = {type(result) for result in lab.results(provider, batch_id, tmp_path)}
    assert kinds <= {Answered, Failed}


@each_provider
def test_a_wrong_key_is_named_as_such(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name, api_key="invalid-key-1")

    with pytest.raises(AuthenticationError) as caught:
        provider.find(submission(provider))

    assert "invalid-key-1" not in str(caught.value)


@each_provider
def test_one_provider_serves_many_threads(
    lab: Lab, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = lab.provider(name)
    batch_id = lab.created(provider, submission(provider))
    lab.ended(provider, batch_id)

    with ThreadPoolExecutor(8) as threads:
        states = list(threads.map(provider.poll, [batch_id] * 40))

    assert {type(state) for state in states} == {BatchEnded}
