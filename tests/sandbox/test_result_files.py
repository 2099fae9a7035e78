"""Result files are files: described to the byte, listed, deleted."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import groq
import openai
import pytest
from google.genai.errors import ClientError

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import Drive, GoogleDriver, GroqDriver, OpenAIDriver


@pytest.fixture
def oai(drive: Drive, shared_sandbox: Sandbox) -> OpenAIDriver:
    found: OpenAIDriver = drive("openai", shared_sandbox.url)
    return found


@pytest.fixture
def grq(drive: Drive, shared_sandbox: Sandbox) -> GroqDriver:
    found: GroqDriver = drive("groq", shared_sandbox.url)
    return found


@pytest.fixture
def gemini(drive: Drive, shared_sandbox: Sandbox) -> GoogleDriver:
    found: GoogleDriver = drive("google", shared_sandbox.url)
    return found


def half_failed(driver: OpenAIDriver | GroqDriver, sandbox: Sandbox) -> tuple[str, str, str]:
    """An ended batch with both result files: its id and theirs."""
    sandbox.faults(half_failed=1)
    batch_id = driver.submit(6)
    driver.finish(batch_id)
    batch = driver.client.batches.retrieve(batch_id)
    return batch_id, batch.output_file_id or "", batch.error_file_id or ""


def test_openai_describes_both_result_files_to_the_byte(
    oai: OpenAIDriver, shared_sandbox: Sandbox
) -> None:
    batch_id, output, errors = half_failed(oai, shared_sandbox)

    files = [oai.client.files.retrieve(file_id) for file_id in (output, errors)]

    assert [file.bytes for file in files] == [len(oai.content(output)), len(oai.content(errors))]
    assert [file.filename for file in files] == [
        f"{batch_id}_output.jsonl",
        f"{batch_id}_error.jsonl",
    ]
    assert {(file.object, file.purpose, file.status) for file in files} == {
        ("file", "batch_output", "processed")
    }


def test_groq_describes_both_result_files_to_the_byte(
    grq: GroqDriver, shared_sandbox: Sandbox
) -> None:
    batch_id, output, errors = half_failed(grq, shared_sandbox)

    files = [grq.client.files.info(file_id) for file_id in (output, errors)]

    sizes = [len(grq.client.files.content(file_id).read()) for file_id in (output, errors)]
    assert [file.bytes for file in files] == sizes
    assert [file.filename for file in files] == [
        f"{batch_id}_output.jsonl",
        f"{batch_id}_error.jsonl",
    ]
    assert {file.purpose for file in files} == {"batch_output"}


def test_openai_lists_result_files_before_the_older_input(
    oai: OpenAIDriver, shared_sandbox: Sandbox
) -> None:
    batch_id, output, errors = half_failed(oai, shared_sandbox)
    source = oai.client.batches.retrieve(batch_id).input_file_id

    newest = [file.id for file in oai.client.files.list(limit=3).data]

    assert set(newest) == {output, errors, source}
    assert newest[-1] == source


def test_openai_lists_by_purpose_in_pages(oai: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    batch_id, *results = half_failed(oai, shared_sandbox)
    source = oai.client.batches.retrieve(batch_id).input_file_id

    made = list(oai.client.files.list(purpose="batch_output", limit=1))
    sent = list(oai.client.files.list(purpose="batch", limit=100))

    assert {file.id for file in made[:2]} == set(results)
    assert {file.purpose for file in made} == {"batch_output"}
    assert sent[0].id == source
    assert {file.purpose for file in sent} == {"batch"}
    assert list(oai.client.files.list(purpose="vision")) == []


def test_groq_lists_result_files(grq: GroqDriver, shared_sandbox: Sandbox) -> None:
    _, output, errors = half_failed(grq, shared_sandbox)

    listed = {file.id: file for file in grq.client.files.list().data}

    for file_id in (output, errors):
        assert listed[file_id].to_dict() == grq.client.files.info(file_id).to_dict()


def test_a_batch_without_errors_has_no_error_file(oai: OpenAIDriver) -> None:
    batch_id = oai.submit(2)
    oai.finish(batch_id)
    output = oai.client.batches.retrieve(batch_id).output_file_id or ""

    with pytest.raises(openai.NotFoundError):
        oai.client.files.retrieve(output.replace("-output", "-errors"))


def test_a_deleted_result_file_is_gone_and_its_batch_stays(
    oai: OpenAIDriver, shared_sandbox: Sandbox
) -> None:
    batch_id, output, errors = half_failed(oai, shared_sandbox)

    assert oai.client.files.delete(output).deleted

    assert oai.client.batches.retrieve(batch_id).output_file_id == output
    assert oai.content(errors)
    assert output not in {file.id for file in oai.client.files.list()}
    for gone in (oai.client.files.retrieve, oai.client.files.content, oai.client.files.delete):
        with pytest.raises(openai.NotFoundError):
            gone(output)


def test_a_result_file_is_processed_at_once(oai: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    _, output, _ = half_failed(oai, shared_sandbox)

    file = oai.client.files.wait_for_processing(output, max_wait_seconds=1)

    assert file.status == "processed"


@pytest.mark.parametrize("read", ["info", "content", "delete"])
def test_groq_knows_no_file_that_was_deleted(
    grq: GroqDriver, shared_sandbox: Sandbox, read: str
) -> None:
    _, output, _ = half_failed(grq, shared_sandbox)
    grq.client.files.delete(output)

    with pytest.raises(groq.NotFoundError):
        getattr(grq.client.files, read)(output)


def result_of(gemini: GoogleDriver) -> str:
    batch_id = gemini.submit(5)
    gemini.finish(batch_id)
    dest = gemini.client.batches.get(name=batch_id).dest
    assert dest
    return dest.file_name or ""


def test_gemini_describes_a_result_file_to_the_byte(gemini: GoogleDriver) -> None:
    name = result_of(gemini)

    file = gemini.client.files.get(name=name)

    content = gemini.client.files.download(file=name)
    assert (file.name, file.size_bytes) == (name, len(content))
    digest = hashlib.sha256(content).digest()
    assert file.sha256_hash == base64.b64encode(digest).decode()
    assert (file.state, file.source) == ("ACTIVE", "GENERATED")


def test_a_gemini_file_object_can_be_downloaded(gemini: GoogleDriver) -> None:
    name = result_of(gemini)

    file = gemini.client.files.get(name=name)

    assert gemini.client.files.download(file=file) == gemini.client.files.download(file=name)


def test_gemini_knows_no_file_that_was_deleted(gemini: GoogleDriver) -> None:
    name = result_of(gemini)

    gemini.client.files.delete(name=name)

    files = gemini.client.files
    with pytest.raises(ClientError, match="404 NOT_FOUND"):
        files.get(name=name)
    with pytest.raises(ClientError, match="404 NOT_FOUND"):
        files.download(file=name)
    with pytest.raises(ClientError, match="404 NOT_FOUND"):
        files.delete(name=name)
