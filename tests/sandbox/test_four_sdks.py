"""What holds for all four providers, through their official SDKs, unmodified."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from anthropic import AsyncAnthropic
from google.genai import Client
from google.genai.types import HttpOptions
from groq import AsyncGroq
from openai import AsyncOpenAI

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.conftest import SandboxStarter
    from tests.sandbox.conftest import Drive, Driver

WAIT_S = 0.3
ENDS = {
    "openai": "completed",
    "groq": "completed",
    "anthropic": "ended",
    "google": "JOB_STATE_SUCCEEDED",
}


@pytest.fixture
def driver(drive: Drive, provider: str, shared_sandbox: Sandbox) -> Driver:
    found: Driver = drive(provider, shared_sandbox.url)
    return found


def test_a_batch_runs_to_its_end_and_every_request_is_answered(driver: Driver) -> None:
    batch_id = driver.submit(7)

    assert driver.finish(batch_id) == ENDS[driver.name]

    outcomes = driver.outcomes(batch_id)
    assert sorted(outcome.key for outcome in outcomes) == [f"k-{i}" for i in range(7)]
    assert {outcome.kind for outcome in outcomes} == {"answered"}
    assert all(outcome.usage and outcome.model.startswith(driver.model) for outcome in outcomes)


def test_the_ledger_tells_what_was_billed(driver: Driver, shared_sandbox: Sandbox) -> None:
    before = shared_sandbox.ledger()["requests_billed"]
    batch_id = driver.submit(5)
    driver.finish(batch_id)

    ledger = shared_sandbox.ledger()

    entry = shared_sandbox.entry(batch_id)
    assert entry["provider"] == driver.name
    assert entry["model"] == driver.model
    assert entry["requests"] == 5
    assert entry["state"] in {"completed", "ended", "BATCH_STATE_SUCCEEDED"}
    assert (
        entry["metadata"]
        == {
            "openai": {"grabient_submission": "abc"},
            "groq": {"grabient_submission": "abc"},
            "anthropic": {},
            "google": {"display_name": "abc"},
        }[driver.name]
    )
    assert ledger["requests_billed"] == before + 5
    assert sum(ledger["calls"].values()) > 0


def test_a_list_pages_from_the_newest_to_the_oldest(driver: Driver) -> None:
    created = [driver.submit(1) for _ in range(5)]

    listed = driver.ids(2)

    assert listed[:5] == created[::-1]
    assert len(listed) == len(set(listed))


def test_a_cancelled_batch_keeps_what_was_finished(driver: Driver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(stuck=1)
    batch_id = driver.submit(10)
    time.sleep(0.1)
    assert not driver.ended(batch_id)

    driver.cancel(batch_id)

    kinds = Counter(outcome.kind for outcome in driver.outcomes(batch_id))
    assert kinds == {"answered": 3, "unreached": 7}
    assert shared_sandbox.entry(batch_id)["requests_billed"] == 3


def test_a_wrong_key_is_refused_and_nothing_is_accepted(
    drive: Drive, provider: str, shared_sandbox: Sandbox
) -> None:
    before = len(shared_sandbox.ledger()["batches"])

    with pytest.raises(Exception, match=r"401|API key"):
        drive(provider, shared_sandbox.url, "invalid-key").submit(1)

    assert len(shared_sandbox.ledger()["batches"]) == before


@pytest.fixture(scope="module")
def seeded(many_sandboxes: SandboxStarter) -> list[Sandbox]:
    """Three sandboxes, of seeds 1, 1 and 2."""
    return [many_sandboxes(seed=seed) for seed in (1, 1, 2)]


def test_the_same_questions_get_the_same_answers_from_the_same_seed(
    drive: Drive, provider: str, seeded: list[Sandbox]
) -> None:
    drivers = [drive(provider, sandbox.url) for sandbox in seeded]

    answers = [[o.text for o in driver.outcomes(driver.submit(6))] for driver in drivers]

    assert answers[0] == answers[1] != answers[2]


def test_asking_the_same_again_gives_other_answers(driver: Driver) -> None:
    first, second = ([o.text for o in driver.outcomes(driver.submit(6))] for _ in range(2))

    assert first != second


def test_a_result_can_be_read_twice(driver: Driver) -> None:
    batch_id = driver.submit(20)
    driver.finish(batch_id)

    assert driver.lines(batch_id) == driver.lines(batch_id)


def test_an_unknown_batch_is_not_found(driver: Driver) -> None:
    unknown = {"google": "batches/nobody", "anthropic": "msgbatch_nobody"}

    with pytest.raises(Exception, match=r"404|not found"):
        driver.state(unknown.get(driver.name, "batch_nobody"))


async def _openai(url: str, line: bytes) -> bytes:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        file = await client.files.create(file=("x.jsonl", line), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        await asyncio.sleep(WAIT_S)
        batch = await client.batches.retrieve(batch.id)
        return (await client.files.content(batch.output_file_id or "")).content


async def _groq(url: str, line: bytes) -> bytes:
    async with AsyncGroq(base_url=url, api_key="k", max_retries=0) as client:
        file = await client.files.create(file=("x.jsonl", line), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id or "", endpoint="/v1/chat/completions", completion_window="24h"
        )
        await asyncio.sleep(WAIT_S)
        found = await client.batches.retrieve(batch.id)
        return await (await client.files.content(found.output_file_id or "")).read()


async def _anthropic(url: str, line: bytes) -> bytes:
    async with AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        batch_id = (await client.messages.batches.create(requests=[json.loads(line)])).id
        await asyncio.sleep(WAIT_S)
        rows = [row async for row in await client.messages.batches.results(batch_id)]
        return b"".join(row.to_json(indent=None).encode() for row in rows)


async def _google(url: str, line: bytes) -> bytes:
    client = Client(api_key="k", http_options=HttpOptions(base_url=url, timeout=9000)).aio
    file = await client.files.upload(file=io.BytesIO(line), config={"mime_type": "jsonl"})
    batch = await client.batches.create(model="gemini-2.5-flash-lite", src=file.name or "")
    await asyncio.sleep(WAIT_S)
    found = await client.batches.get(name=batch.name or "")
    assert found.dest
    content = await client.files.download(file=found.dest.file_name or "")
    await client.aclose()
    return bytes(content)


ASYNC = {"openai": _openai, "groq": _groq, "anthropic": _anthropic, "google": _google}


def test_the_asynchronous_clients_work_too(
    driver: Driver, provider: str, shared_sandbox: Sandbox
) -> None:
    line = json.dumps(driver.line("k-0")).encode()

    assert b"k-0" in asyncio.run(ASYNC[provider](shared_sandbox.url, line))
