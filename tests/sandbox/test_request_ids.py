"""Every answer has an id that the SDKs hand to their users, as support asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import groq
import openai
import pytest

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import AnthropicDriver, ChatDriver, Drive, GroqDriver


@pytest.fixture(params=["openai", "groq"])
def chat(request: pytest.FixtureRequest, drive: Drive, shared_sandbox: Sandbox) -> ChatDriver:
    found: ChatDriver = drive(request.param, shared_sandbox.url)
    return found


@pytest.fixture
def claude(drive: Drive, shared_sandbox: Sandbox) -> AnthropicDriver:
    found: AnthropicDriver = drive("anthropic", shared_sandbox.url)
    return found


def test_every_answer_has_an_id_of_its_own(chat: ChatDriver) -> None:
    batch_id = chat.submit(1)

    answers = [chat.client.batches.with_raw_response.retrieve(batch_id) for _ in range(2)]

    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(one.startswith("req_") for one in ids)
    assert ids[0] != ids[1]


def test_openai_objects_know_their_request(drive: Drive, shared_sandbox: Sandbox) -> None:
    client = drive("openai", shared_sandbox.url).client

    assert client.models.list()._request_id.startswith("req_")


def test_a_refusal_of_openai_has_an_id(drive: Drive, shared_sandbox: Sandbox) -> None:
    client = drive("openai", shared_sandbox.url).client

    with pytest.raises(openai.NotFoundError) as refused:
        client.batches.retrieve("batch_nobody")

    assert str(refused.value.request_id).startswith("req_")


def test_a_refusal_of_groq_has_an_id(drive: Drive, shared_sandbox: Sandbox) -> None:
    driver: GroqDriver = drive("groq", shared_sandbox.url)

    with pytest.raises(groq.NotFoundError) as refused:
        driver.client.batches.retrieve("batch_nobody")

    assert refused.value.response.headers["x-request-id"].startswith("req_")


def test_anthropic_objects_know_their_request(claude: AnthropicDriver) -> None:
    batch = claude.client.messages.batches.create(requests=[claude.line("k")])

    assert str(batch._request_id).startswith("req_")


def test_a_refusal_of_anthropic_says_its_id_twice(claude: AnthropicDriver) -> None:
    with pytest.raises(anthropic.NotFoundError) as refused:
        claude.client.messages.batches.retrieve("msgbatch_nobody")

    assert isinstance(refused.value.body, dict)
    assert refused.value.request_id == refused.value.body["request_id"]
