"""How long files live, and what batches may be made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

if TYPE_CHECKING:
    from openai.types import FileObject
    from openai.types.batch_create_params import OutputExpiresAfter

    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import ChatDriver, Drive, OpenAIDriver

MONTH_S, HOUR_S = 30 * 86_400, 3_600


@pytest.fixture
def oai(drive: Drive, shared_sandbox: Sandbox) -> OpenAIDriver:
    found: OpenAIDriver = drive("openai", shared_sandbox.url)
    return found


@pytest.fixture(params=["openai", "groq"])
def chat(request: pytest.FixtureRequest, drive: Drive, shared_sandbox: Sandbox) -> ChatDriver:
    found: ChatDriver = drive(request.param, shared_sandbox.url)
    return found


def lives_s(file: FileObject) -> int:
    return (file.expires_at or 0) - file.created_at


def output_of(oai: OpenAIDriver, life: OutputExpiresAfter | openai.Omit) -> FileObject:
    batch_id = oai.client.batches.create(
        input_file_id=oai.file([oai.line("k")]),
        endpoint="/v1/chat/completions",
        completion_window="24h",
        output_expires_after=life,
    ).id
    oai.finish(batch_id)
    return oai.client.files.retrieve(oai.client.batches.retrieve(batch_id).output_file_id or "")


def test_files_live_for_a_month(oai: OpenAIDriver) -> None:
    sent = oai.client.files.retrieve(oai.file([oai.line("k")]))

    assert lives_s(sent) == lives_s(output_of(oai, openai.omit)) == MONTH_S


def test_files_live_as_long_as_was_asked(oai: OpenAIDriver) -> None:
    sent = oai.client.files.create(
        file=("in.jsonl", b"{}"),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": HOUR_S},
    )

    assert lives_s(oai.client.files.retrieve(sent.id)) == HOUR_S
    assert lives_s(output_of(oai, {"anchor": "created_at", "seconds": 2 * HOUR_S})) == 2 * HOUR_S


@pytest.mark.parametrize("seconds", [HOUR_S - 1, MONTH_S + 1])
def test_other_lives_are_refused(oai: OpenAIDriver, seconds: int) -> None:
    with pytest.raises(openai.BadRequestError, match="expires_after"):
        oai.client.files.create(
            file=("in.jsonl", b"{}"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": seconds},
        )
    with pytest.raises(openai.BadRequestError, match="output_expires_after"):
        output_of(oai, {"anchor": "created_at", "seconds": seconds})


def test_no_batch_is_made_of_results(chat: ChatDriver) -> None:
    batch_id = chat.submit(1)
    chat.finish(batch_id)

    with pytest.raises(Exception, match="batch_output") as refused:
        chat.create(chat.client.batches.retrieve(batch_id).output_file_id)

    assert refused.value.status_code == 400  # type: ignore[attr-defined]


def test_a_batch_outlives_its_input(chat: ChatDriver) -> None:
    file_id = chat.file([chat.line("k")])
    batch_id = chat.create(file_id)
    chat.client.files.delete(file_id)

    assert [outcome.key for outcome in chat.outcomes(batch_id)] == ["k"]
    with pytest.raises(Exception, match="No such File object"):
        chat.create(file_id)
