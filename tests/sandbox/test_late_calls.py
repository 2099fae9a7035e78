"""Calls that come too early, too late, or for something that is not there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anthropic
import groq
import openai
import pytest
from google.genai import Client
from google.genai.errors import ClientError
from google.genai.types import HttpOptions

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import AnthropicDriver, Drive, Driver, GoogleDriver

NOBODY = {
    "openai": "batch_nobody",
    "groq": "batch_nobody",
    "anthropic": "msgbatch_nobody",
    "google": "batches/nobody",
}
NOT_FOUND = {
    "openai": openai.NotFoundError,
    "groq": groq.NotFoundError,
    "anthropic": anthropic.NotFoundError,
    "google": ClientError,
}


@pytest.fixture
def driver(drive: Drive, provider: str, shared_sandbox: Sandbox) -> Driver:
    found: Driver = drive(provider, shared_sandbox.url)
    return found


@pytest.fixture
def claude(drive: Drive, shared_sandbox: Sandbox) -> AnthropicDriver:
    found: AnthropicDriver = drive("anthropic", shared_sandbox.url)
    return found


@pytest.fixture
def gemini(drive: Drive, shared_sandbox: Sandbox) -> GoogleDriver:
    found: GoogleDriver = drive("google", shared_sandbox.url)
    return found


def test_nobody_s_batch_can_not_be_cancelled(driver: Driver) -> None:
    with pytest.raises(NOT_FOUND[driver.name], match="404"):
        driver.cancel(NOBODY[driver.name])


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_a_late_cancel_changes_nothing(driver: Driver) -> None:
    batch_id = driver.submit(2)
    end = driver.finish(batch_id)

    driver.cancel(batch_id)

    assert driver.state(batch_id) == end
    assert {outcome.kind for outcome in driver.outcomes(batch_id)} == {"answered"}


def test_a_second_cancel_is_as_good_as_one(driver: Driver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(stuck=1)
    batch_id = driver.submit(2)

    driver.cancel(batch_id)
    driver.cancel(batch_id)

    assert driver.finish(batch_id).lower().removeprefix("job_state_") in {"cancelled", "ended"}


def test_anthropic_deletes_only_what_has_ended(
    claude: AnthropicDriver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(stuck=1)
    batch_id = claude.submit(1)
    batches = claude.client.messages.batches

    with pytest.raises(anthropic.BadRequestError, match="in progress"):
        batches.delete(batch_id)
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        batches.results(batch_id)

    claude.cancel(batch_id)
    claude.finish(batch_id)
    assert batches.delete(batch_id).id == batch_id


def test_anthropic_knows_no_batch_that_was_deleted(claude: AnthropicDriver) -> None:
    batch_id = claude.submit(1)
    claude.finish(batch_id)
    batches = claude.client.messages.batches
    batches.delete(batch_id)

    for call in (batches.retrieve, batches.results, batches.cancel, batches.delete):
        with pytest.raises(anthropic.NotFoundError):
            call(batch_id)
    assert batch_id not in claude.ids(100)


def test_gemini_knows_neither_a_deleted_batch_nor_its_results(gemini: GoogleDriver) -> None:
    name = gemini.submit(1)
    gemini.finish(name)
    dest = gemini.client.batches.get(name=name).dest
    assert dest
    gemini.client.batches.delete(name=name)

    for call in (gemini.state, gemini.cancel):
        with pytest.raises(ClientError, match="404 NOT_FOUND"):
            call(name)
    with pytest.raises(ClientError, match="404 NOT_FOUND"):
        gemini.client.files.download(file=dest.file_name or "")
    assert name not in gemini.ids(100)


def test_gemini_makes_no_batch_of_a_deleted_file(gemini: GoogleDriver) -> None:
    name = gemini.file([gemini.line("k")])
    batch_id = gemini.create(name)
    gemini.client.files.delete(name=name)

    with pytest.raises(ClientError, match="404 NOT_FOUND"):
        gemini.create(name)
    assert [outcome.key for outcome in gemini.outcomes(batch_id)] == ["k"]


def test_gemini_s_asynchronous_client_cancels_and_deletes(
    gemini: GoogleDriver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(stuck=1)
    name = gemini.submit(1)

    async def end() -> None:
        options = HttpOptions(base_url=shared_sandbox.url, timeout=9000)
        client = Client(api_key="k", http_options=options).aio
        await client.batches.cancel(name=name)
        await client.batches.delete(name=name)
        await client.aclose()

    asyncio.run(end())

    with pytest.raises(ClientError, match="404 NOT_FOUND"):
        gemini.state(name)
