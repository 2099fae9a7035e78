"""OpenAI's batches say what they cost, as the sum over their output lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from openai.types.batch_usage import BatchUsage, InputTokensDetails, OutputTokensDetails

if TYPE_CHECKING:
    from pathlib import Path

    from openai.types import Batch

    from benchmarks.arena import Sandbox
    from tests.conftest import SandboxStarter
    from tests.sandbox.conftest import Drive, OpenAIDriver

NOTHING = BatchUsage(
    input_tokens=0,
    input_tokens_details=InputTokensDetails(cached_tokens=0),
    output_tokens=0,
    output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
    total_tokens=0,
)
LONG = [{"role": "system", "content": "JSON " * 2000}, {"role": "user", "content": "#ffd700"}]
THINKS = {"model": "gpt-5-mini", "messages": LONG}


@pytest.fixture
def openai(drive: Drive, shared_sandbox: Sandbox) -> OpenAIDriver:
    found: OpenAIDriver = drive("openai", shared_sandbox.url)
    return found


def ended(openai: OpenAIDriver, batch_id: str) -> Batch:
    openai.finish(batch_id)
    return openai.client.batches.retrieve(batch_id)


def summed(openai: OpenAIDriver, batch: Batch) -> BatchUsage:
    rows = map(json.loads, openai.content(batch.output_file_id or "").splitlines())
    used = [row["response"]["body"]["usage"] for row in rows]
    cached = sum(one["prompt_tokens_details"]["cached_tokens"] for one in used)
    reasoning = sum(one["completion_tokens_details"]["reasoning_tokens"] for one in used)
    return BatchUsage(
        input_tokens=sum(one["prompt_tokens"] for one in used),
        input_tokens_details=InputTokensDetails(cached_tokens=cached),
        output_tokens=sum(one["completion_tokens"] for one in used),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=reasoning),
        total_tokens=sum(one["total_tokens"] for one in used),
    )


def test_an_ended_batch_says_the_sum_over_its_output_lines(openai: OpenAIDriver) -> None:
    batch = ended(openai, openai.submit(30, **THINKS))

    assert batch.usage == summed(openai, batch)
    assert batch.usage.input_tokens_details.cached_tokens > 0
    assert batch.usage.output_tokens_details.reasoning_tokens > 0
    assert batch.model == "gpt-5-mini"


def test_a_batch_whose_end_nobody_polled_says_the_same_in_a_list(openai: OpenAIDriver) -> None:
    first, second = openai.submit(3), openai.submit(5)
    openai.finish(second)

    listed = {batch.id: batch for batch in openai.client.batches.list(limit=2).data}

    assert listed[first].usage == summed(openai, listed[first])
    assert listed[second].usage == summed(openai, listed[second])


def test_before_the_end_nothing_is_counted(drive: Drive, sandbox_starter: SandboxStarter) -> None:
    slow: OpenAIDriver = drive("openai", sandbox_starter(latency_s=60).url)
    created = slow.client.batches.retrieve(slow.submit(2))

    assert (created.status, created.model, created.usage) == ("validating", None, NOTHING)


@pytest.mark.parametrize("fault", ["expire", "half_failed", "rejected_lines", "missing_ids"])
def test_only_answers_that_can_be_read_are_counted(
    openai: OpenAIDriver, shared_sandbox: Sandbox, fault: str
) -> None:
    shared_sandbox.faults(**{fault: 1})

    batch = ended(openai, openai.submit(10))

    assert batch.usage == summed(openai, batch) != NOTHING


@pytest.mark.parametrize("fault", ["reject", "empty_output"])
def test_a_batch_without_output_cost_nothing(
    openai: OpenAIDriver, shared_sandbox: Sandbox, fault: str
) -> None:
    shared_sandbox.faults(**{fault: 1})

    batch = ended(openai, openai.submit(4))

    assert (batch.output_file_id, batch.usage) == (None, NOTHING)


def test_an_answer_that_comes_twice_is_counted_once(
    openai: OpenAIDriver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(duplicate_ids=1)
    batch_id = openai.submit(10)

    usage = ended(openai, batch_id).usage

    (entry,) = (
        batch
        for batch in shared_sandbox.call("/sandbox/ledger?tokens")["batches"]
        if batch["id"] == batch_id
    )
    assert usage
    assert usage.input_tokens == entry["input_tokens"]
    assert usage.output_tokens == entry["output_tokens"]


def test_usage_outlives_the_output_file_and_the_process(
    drive: Drive, sandbox_starter: SandboxStarter, tmp_path: Path
) -> None:
    state = ("--state", str(tmp_path / "state"))
    before: OpenAIDriver = drive("openai", sandbox_starter(*state).url)
    batch = ended(before, before.submit(5))
    before.client.files.delete(batch.output_file_id or "")

    after: OpenAIDriver = drive("openai", sandbox_starter(*state).url)

    assert after.client.batches.retrieve(batch.id).usage == batch.usage != NOTHING
