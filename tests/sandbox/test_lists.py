"""Lists in pages, through the asynchronous clients, which go on to the next page by themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from google.genai import Client
from google.genai.errors import ClientError
from google.genai.types import HttpOptions
from groq import AsyncGroq
from openai import AsyncOpenAI

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import AnthropicDriver, Drive, Driver, GoogleDriver, OpenAIDriver


async def _openai(url: str) -> list[str]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        return [batch.id async for batch in client.batches.list(limit=2)]


async def _groq(url: str) -> list[str]:
    async with AsyncGroq(base_url=url, api_key="k", max_retries=0) as client:
        return [batch.id for batch in (await client.batches.list()).data]


async def _anthropic(url: str) -> list[str]:
    async with AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        return [batch.id async for batch in client.messages.batches.list(limit=2)]


async def _google(url: str) -> list[str]:
    client = Client(api_key="k", http_options=HttpOptions(base_url=url, timeout=9000)).aio
    found = [str(job.name) async for job in await client.batches.list(config={"page_size": 2})]
    await client.aclose()
    return found


LISTED = {"openai": _openai, "groq": _groq, "anthropic": _anthropic, "google": _google}


@pytest.fixture
def driver(drive: Drive, provider: str, shared_sandbox: Sandbox) -> Driver:
    found: Driver = drive(provider, shared_sandbox.url)
    return found


@pytest.fixture
def claude(drive: Drive, shared_sandbox: Sandbox) -> AnthropicDriver:
    found: AnthropicDriver = drive("anthropic", shared_sandbox.url)
    return found


def test_the_asynchronous_clients_list_from_the_newest(
    driver: Driver, provider: str, shared_sandbox: Sandbox
) -> None:
    created = [driver.submit(1) for _ in range(5)]

    listed = asyncio.run(LISTED[provider](shared_sandbox.url))

    assert listed[:5] == created[::-1]
    assert len(listed) == len(set(listed))


def test_anthropic_goes_back_to_the_newest(claude: AnthropicDriver) -> None:
    created = [claude.submit(1) for _ in range(4)]
    batches = claude.client.messages.batches

    assert [batch.id for batch in batches.list(before_id=created[0], limit=1)] == created[1:]
    assert [batch.id for batch in batches.list(before_id=created[0], limit=2).data] == [
        created[2],
        created[1],
    ]


@pytest.mark.parametrize("limit", [0, 1001])
def test_anthropic_refuses_other_sizes_of_pages(claude: AnthropicDriver, limit: int) -> None:
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        claude.client.messages.batches.list(limit=limit)


@pytest.mark.parametrize("mark", ["after_id", "before_id"])
def test_anthropic_refuses_a_mark_that_is_not_there(claude: AnthropicDriver, mark: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=mark):
        claude.client.messages.batches.list(extra_query={mark: "msgbatch_nobody"})


@pytest.mark.parametrize("limit", [0, 101])
def test_openai_refuses_other_sizes_of_pages(
    drive: Drive, shared_sandbox: Sandbox, limit: int
) -> None:
    oai: OpenAIDriver = drive("openai", shared_sandbox.url)

    with pytest.raises(openai.BadRequestError, match="limit"):
        oai.client.batches.list(limit=limit)


def test_openai_lists_files_from_the_oldest_when_asked(
    drive: Drive, shared_sandbox: Sandbox
) -> None:
    oai: OpenAIDriver = drive("openai", shared_sandbox.url)
    sent = [oai.file([oai.line("k")]) for _ in range(3)]

    listed = oai.client.files.list(purpose="batch", order="asc", after=sent[0], limit=1)

    assert [file.id for file in listed] == sent[1:]


def test_gemini_s_usual_page_holds_more_than_one(drive: Drive, shared_sandbox: Sandbox) -> None:
    gemini: GoogleDriver = drive("google", shared_sandbox.url)
    created = [gemini.submit(1) for _ in range(2)]

    page = gemini.client.batches.list(config={"page_size": 0}).page

    assert [job.name for job in page[:2]] == created[::-1]


def test_gemini_refuses_a_token_that_it_did_not_give(drive: Drive, shared_sandbox: Sandbox) -> None:
    gemini: GoogleDriver = drive("google", shared_sandbox.url)

    with pytest.raises(ClientError, match="400 INVALID_ARGUMENT"):
        gemini.client.batches.list(config={"page_token": "next"})


def test_nobody_has_tuned_a_model_of_gemini(drive: Drive, shared_sandbox: Sandbox) -> None:
    gemini: GoogleDriver = drive("google", shared_sandbox.url)

    assert list(gemini.client.models.list(config={"query_base": False})) == []
