"""Gemini's batches whose requests and answers are inside the calls."""

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.sandbox.conftest import PALETTE

if TYPE_CHECKING:
    from google.genai.types import InlinedResponse

    from benchmarks.arena import Sandbox
    from tests.conftest import SandboxStarter
    from tests.sandbox.conftest import Drive, GoogleDriver


@pytest.fixture
def gemini(drive: "Drive", shared_sandbox: "Sandbox") -> "GoogleDriver":
    driver: GoogleDriver = drive("google", shared_sandbox.url)
    return driver


def answers(gemini: "GoogleDriver", source: list[Any]) -> "list[InlinedResponse]":
    name = gemini.client.batches.create(model=gemini.model, src=source).name or ""
    assert gemini.finish(name) == "JOB_STATE_SUCCEEDED"
    dest = gemini.client.batches.get(name=name).dest
    assert dest
    return dest.inlined_responses or []


@pytest.mark.parametrize(
    "metadata",
    [
        [{"key": "a", "run": "1"}, {"key": "b"}, {"key": "b"}],
        [{"palette": "a"}, {"palette": "b"}, {"palette": "c"}],
        [None, None, None],
        [None, {"key": "b"}, {}],
    ],
)
def test_answers_come_in_order_with_the_whole_metadata(
    gemini: "GoogleDriver", metadata: list[dict[str, str] | None]
) -> None:
    source = [{"contents": PALETTE, "metadata": one} for one in metadata]

    found = answers(gemini, source)

    assert [one.metadata or None for one in found] == [one or None for one in metadata]
    assert all(one.response for one in found)


def test_a_wrong_request_among_them_gets_an_error_and_keeps_its_metadata(
    gemini: "GoogleDriver",
) -> None:
    wrong = {"contents": PALETTE, "metadata": {"n": "2"}, "config": {"temperature": 5}}

    good, bad = answers(gemini, [{"contents": PALETTE, "metadata": {"n": "1"}}, wrong])

    assert (good.error, good.metadata) == (None, {"n": "1"})
    assert bad.error
    assert (bad.error.code, bad.metadata) == (3, {"n": "2"})


@pytest.mark.parametrize("fault", ["malformed_line", "unknown_ids", "duplicate_ids", "reorder"])
def test_faults_of_result_files_break_no_answer(
    drive: "Drive", sandbox_starter: "SandboxStarter", fault: str
) -> None:
    sandbox = sandbox_starter("--latency-s", "0", "--fault", f"{fault}=1")
    gemini: GoogleDriver = drive("google", sandbox.url)

    found = answers(gemini, [{"contents": PALETTE, "metadata": {"n": str(n)}} for n in range(6)])

    assert len(found) >= 5


@pytest.mark.parametrize("requests", [5, None, [], {"requests": 5}, {"requests": []}])
def test_a_batch_without_requests_is_refused_in_google_s_words(
    shared_sandbox: "Sandbox", requests: object
) -> None:
    answer = post_batch(shared_sandbox, {"inputConfig": {"requests": requests}})

    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_a_batch_may_be_written_in_snake_case_as_in_google_s_examples(
    shared_sandbox: "Sandbox",
) -> None:
    one = {"request": {"contents": [{"parts": [{"text": PALETTE}]}]}}
    batch = {"display_name": "mine", "input_config": {"requests": {"requests": [one]}}}

    answer = post_batch(shared_sandbox, batch).json()

    assert answer["metadata"]["displayName"] == "mine"
    assert answer["metadata"]["batchStats"]["requestCount"] == "1"


def post_batch(sandbox: "Sandbox", batch: object) -> httpx2.Response:
    return httpx2.post(
        f"{sandbox.url}/v1beta/models/gemini-2.5-flash-lite:batchGenerateContent",
        headers={"x-goog-api-key": "sandbox"},
        json={"batch": batch},
    )
