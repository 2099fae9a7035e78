from pathlib import Path
from typing import Any

import pytest

from grabient_ops.errors import ProviderError
from grabient_ops.providers.base import (
    BatchEnded,
    BatchRejected,
    BatchRunning,
    BatchState,
    ProviderName,
    ResultFile,
)

Stub = Any
Json = dict[str, Any]

OUTPUT = ResultFile("output", "file-out")
ERRORS = ResultFile("errors", "file-err")
COUNTS = {"total": 9, "completed": 4, "failed": 2}


def chat_batch(status: object, **fields: object) -> Json:
    return {"id": "batch_1", "status": status, "request_counts": COUNTS, **fields}


TWO_ERRORS = [
    {"code": "invalid_json_line", "message": "not JSON", "line": 7, "param": None},
    {"code": "empty_file", "message": None, "line": None},
]
FULL = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}]


@pytest.mark.parametrize("name", ["openai", "groq"])
@pytest.mark.parametrize(
    ("batch", "state"),
    [
        (chat_batch("validating"), BatchRunning(4, 2)),
        (chat_batch("in_progress"), BatchRunning(4, 2)),
        (chat_batch("finalizing", request_counts=None), BatchRunning()),
        (chat_batch("cancelling"), BatchRunning(4, 2, canceling=True)),
        (chat_batch("paused"), BatchRunning(4, 2, unfamiliar="paused")),
        (chat_batch(None), BatchRunning(4, 2, unfamiliar="null")),
        (
            chat_batch("completed", output_file_id="file-out", error_file_id=""),
            BatchEnded("completed", (OUTPUT,)),
        ),
        (
            chat_batch("completed", output_file_id=None, error_file_id="file-err"),
            BatchEnded("completed", (ERRORS,)),
        ),
        (chat_batch("completed"), BatchEnded("completed")),
        (
            chat_batch("completed", output_file_id="file-out", errors=TWO_ERRORS),
            BatchEnded("completed", (OUTPUT,), "not JSON (line 7); empty_file"),
        ),
        (
            chat_batch("expired", output_file_id="file-out", error_file_id="file-err"),
            BatchEnded("expired", (OUTPUT, ERRORS)),
        ),
        (
            chat_batch("cancelled", output_file_id="file-out", error_file_id="file-err"),
            BatchEnded("canceled", (OUTPUT, ERRORS)),
        ),
        (
            chat_batch("failed", errors={"object": "list", "data": TWO_ERRORS}),
            BatchRejected("not JSON (line 7); empty_file"),
        ),
        (chat_batch("failed", errors=TWO_ERRORS), BatchRejected("not JSON (line 7); empty_file")),
        (
            chat_batch("failed", errors={"data": FULL}),
            BatchRejected("Enqueued token limit reached", queue_full=True),
        ),
        (chat_batch("failed", errors=None), BatchRejected("no reason given")),
        (
            chat_batch("failed", errors=TWO_ERRORS, error_file_id="file-err"),
            BatchEnded("failed", (ERRORS,), "not JSON (line 7); empty_file"),
        ),
    ],
)
def test_openai_and_groq_states_become_ours(
    stub: Stub, name: ProviderName, batch: Json, state: BatchState
) -> None:
    stub.answers(200, batch)

    assert stub.provider(name).poll("batch_1") == state


def message_batch(status: str, url: str | None = None, **counts: int) -> Json:
    canceled = "2026-11-22T10:00:00Z" if counts.pop("cancel_asked", 0) else None
    none = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": "msgbatch_1",
        "processing_status": status,
        "request_counts": {**none, **counts},
        "cancel_initiated_at": canceled,
        "results_url": url,
    }


@pytest.mark.parametrize(
    ("batch", "how"),
    [
        (message_batch("ended", "/results", succeeded=9), "completed"),
        (message_batch("ended", "/results", errored=9), "completed"),
        (message_batch("ended", "/results", succeeded=4, expired=5), "expired"),
        (message_batch("ended", "/results", succeeded=4, canceled=5, cancel_asked=1), "canceled"),
        (message_batch("ended", "/results", succeeded=9, cancel_asked=1), "completed"),
    ],
)
def test_the_end_of_an_anthropic_batch_is_told_by_its_counts(
    stub: Stub, batch: Json, how: str
) -> None:
    stub.answers(200, batch)

    state = stub.provider("anthropic").poll("msgbatch_1")

    assert isinstance(state, BatchEnded)
    assert state.how == how
    assert state.files == (ResultFile("output", f"{stub.url}/results"),)


@pytest.mark.parametrize(
    ("batch", "state"),
    [
        (message_batch("in_progress", processing=9), BatchRunning()),
        (message_batch("canceling", processing=9, cancel_asked=1), BatchRunning(canceling=True)),
        (message_batch("queued"), BatchRunning(unfamiliar="queued")),
        (message_batch("ended", succeeded=9), BatchRunning(resultless=True)),
        (message_batch("ended", canceled=9, cancel_asked=1), BatchEnded("canceled")),
    ],
)
def test_an_anthropic_batch_runs_until_paid_results_can_be_fetched(
    stub: Stub, batch: Json, state: BatchState
) -> None:
    stub.answers(200, batch)

    assert stub.provider("anthropic").poll("msgbatch_1") == state


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/v1/messages/batches/msgbatch_1/results",
        "//elsewhere.example/results",
        "http://127.0.0.1:1/results",
        "ftp://127.0.0.1/results",
    ],
)
def test_results_at_another_host_are_refused_before_the_key_goes_there(
    stub: Stub, url: str, tmp_path: Path
) -> None:
    stub.answers(200, message_batch("ended", url, succeeded=9))
    provider = stub.provider("anthropic")

    with pytest.raises(ProviderError, match="another host"):
        provider.poll("msgbatch_1")
    with pytest.raises(ProviderError, match="another host"):
        provider.download("msgbatch_1", ResultFile("output", url), tmp_path / "out")
    assert len(stub.calls) == 1


def operation(state: str | None, *, error: object = None, **metadata: object) -> Json:
    stats = {"requestCount": "9", "successfulRequestCount": "4", "failedRequestCount": "2"}
    known = {} if state is None else {"state": state}
    return {
        "name": "batches/1",
        "metadata": {**known, "batchStats": stats, **metadata},
        **({"error": error} if error else {}),
    }


RESPONSES = {"responsesFile": "file-out"}


@pytest.mark.parametrize(
    ("batch", "state"),
    [
        (operation("BATCH_STATE_PENDING"), BatchRunning(4, 2)),
        (operation("BATCH_STATE_RUNNING"), BatchRunning(4, 2)),
        (operation("JOB_STATE_QUEUED"), BatchRunning(4, 2)),
        (operation(None), BatchRunning(4, 2)),
        (operation("BATCH_STATE_CANCELLING"), BatchRunning(4, 2, canceling=True)),
        (operation("BATCH_STATE_DREAMING"), BatchRunning(4, 2, unfamiliar="DREAMING")),
        (
            operation("BATCH_STATE_SUCCEEDED", output=RESPONSES),
            BatchEnded("completed", (OUTPUT,)),
        ),
        (
            {**operation("BATCH_STATE_SUCCEEDED"), "response": RESPONSES},
            BatchEnded("completed", (OUTPUT,)),
        ),
        (operation("BATCH_STATE_SUCCEEDED"), BatchRunning(4, 2, resultless=True)),
        (
            operation("BATCH_STATE_PARTIALLY_SUCCEEDED", output=RESPONSES),
            BatchEnded("completed", (OUTPUT,)),
        ),
        (operation("BATCH_STATE_CANCELLED"), BatchEnded("canceled")),
        (operation("BATCH_STATE_CANCELLED", output=RESPONSES), BatchEnded("canceled", (OUTPUT,))),
        (operation("BATCH_STATE_EXPIRED"), BatchEnded("expired")),
        (
            operation("BATCH_STATE_FAILED", error={"code": 3, "message": "line 2:\n bad"}),
            BatchRejected("line 2: bad"),
        ),
        (
            operation("BATCH_STATE_FAILED", error={"code": 8, "message": "queue"}),
            BatchRejected("queue", queue_full=True),
        ),
        (operation("BATCH_STATE_FAILED"), BatchRejected("no reason given")),
        (operation(None, error={"code": 13, "message": "internal"}), BatchRejected("internal")),
    ],
)
def test_gemini_states_become_ours(stub: Stub, batch: Json, state: BatchState) -> None:
    stub.answers(200, batch)

    assert stub.provider("google").poll("batches/1") == state


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("openai", '{"status": <deep>}'),
        ("groq", '{"status": "failed", "errors": [<deep>]}'),
        ("anthropic", '{"processing_status": <deep>}'),
        ("google", '{"error": <deep>}'),
    ],
)
def test_a_state_nested_too_deeply_to_be_written_is_shown_in_part(
    stub: Stub, name: ProviderName, batch: str
) -> None:
    deep = "[" * 1020 + "]" * 1020
    stub.answers(200, batch.replace("<deep>", deep).encode())

    state = stub.provider(name).poll("batch_1")

    assert isinstance(state, BatchRunning | BatchRejected)
    text = state.unfamiliar if isinstance(state, BatchRunning) else state.reason
    assert text is not None
    assert text.startswith("[[[")
    assert len(text) <= 500
