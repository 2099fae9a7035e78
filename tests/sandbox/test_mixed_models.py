"""Anthropic lets the requests of one batch ask different models."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import AnthropicDriver, Drive

OPUS, HAIKU, RETIRED = "claude-opus-4-5-20251101", "claude-haiku-5-5", "claude-3-5-haiku-latest"


@pytest.fixture
def messages(drive: "Drive", shared_sandbox: "Sandbox") -> "AnthropicDriver":
    driver: AnthropicDriver = drive("anthropic", shared_sandbox.url)
    return driver


@pytest.mark.parametrize("models", [[OPUS, HAIKU, OPUS], [RETIRED, HAIKU, OPUS]])
def test_each_request_is_answered_by_the_model_that_it_asks(
    messages: "AnthropicDriver", models: list[str]
) -> None:
    lines = [messages.line(f"k-{n}", model=model) for n, model in enumerate(models)]

    found = {row.key: row.model for row in messages.outcomes(messages.create(lines))}

    asked = {f"k-{n}": "" if model == RETIRED else model for n, model in enumerate(models)}
    assert found == asked
