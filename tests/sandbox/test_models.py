"""The model lists, and one model by its id, through the official SDKs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import groq
import openai
import pytest
from google.genai.errors import ClientError

from grabient_ops.sandbox.limits import KNOWN

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import Drive

UNKNOWN = {
    "openai": ["no-such-model", "gpt-nobody", "gpt-4-32k", "openai/gpt-oss-20b"],
    "groq": ["no-such-model", "openai/gpt-oss", "llama-3.1-8b-instant", "gpt-oss-20b"],
    "anthropic": ["no-such-model", "claude-nobody", "claude-2.1"],
    "google": ["no-such-model", "gemini-nobody", "gemini-1.5-flash"],
}
NOT_FOUND = {
    "openai": openai.NotFoundError,
    "groq": groq.NotFoundError,
    "anthropic": anthropic.NotFoundError,
    "google": ClientError,
}


@pytest.fixture
def models(drive: Drive, provider: str, shared_sandbox: Sandbox) -> Any:  # noqa: ANN401 - four SDKs
    return drive(provider, shared_sandbox.url).client.models


def described(models: Any, provider: str, model: str) -> Any:  # noqa: ANN401 - four SDKs
    return models.get(model=model) if provider == "google" else models.retrieve(model)


def listed(models: Any, provider: str) -> list[Any]:  # noqa: ANN401 - four SDKs
    """All of them; Groq's list is no iterator."""
    found = models.list()
    return list(found.data if provider == "groq" else found)


def name_of(found: Any) -> str:  # noqa: ANN401 - four SDKs
    return str(getattr(found, "id", None) or found.name).removeprefix("models/")


def test_the_list_shows_what_a_batch_may_ask(models: Any, provider: str) -> None:  # noqa: ANN401
    assert list(map(name_of, listed(models, provider))) == list(KNOWN[provider])


def test_every_listed_model_is_described_alike(models: Any, provider: str) -> None:  # noqa: ANN401
    found = listed(models, provider)

    assert [described(models, provider, name_of(model)) for model in found] == found


def test_an_unknown_model_is_not_found(models: Any, provider: str) -> None:  # noqa: ANN401
    for model in UNKNOWN[provider]:
        with pytest.raises(NOT_FOUND[provider], match="404"):
            described(models, provider, model)


def test_a_dated_model_of_openai_is_described(drive: Drive, shared_sandbox: Sandbox) -> None:
    client = drive("openai", shared_sandbox.url).client

    assert client.models.retrieve("gpt-4o-mini-2024-07-18").id == "gpt-4o-mini-2024-07-18"


def test_anthropic_resolves_an_alias(drive: Drive, shared_sandbox: Sandbox) -> None:
    client = drive("anthropic", shared_sandbox.url).client

    model = client.models.retrieve("claude-haiku-4-5")

    assert (model.id, model.lifecycle) == ("claude-haiku-4-5-20251001", "active")


def test_anthropic_pages_its_models_both_ways(drive: Drive, shared_sandbox: Sandbox) -> None:
    models = drive("anthropic", shared_sandbox.url).client.models
    known = list(KNOWN["anthropic"])

    assert [model.id for model in models.list(limit=1)] == known
    page = models.list(limit=2, before_id=known[4])
    assert [model.id for model in page.data] == known[2:4]
    assert page.has_more


def test_gemini_pages_its_models(drive: Drive, shared_sandbox: Sandbox) -> None:
    models = drive("google", shared_sandbox.url).client.models

    paged = [name_of(model) for model in models.list(config={"page_size": 1})]

    assert paged == list(KNOWN["google"])


def test_a_gemini_model_can_be_asked_in_batches(drive: Drive, shared_sandbox: Sandbox) -> None:
    model = drive("google", shared_sandbox.url).client.models.get(model="gemini-2.5-flash")

    assert "batchGenerateContent" in model.supported_actions
    assert model.input_token_limit > 0
