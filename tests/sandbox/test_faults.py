"""Every fault does what its line in the documentation says, at the wire."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import anthropic
import httpx2
import openai
import pytest

from grabient_ops.errors import InputError
from grabient_ops.sandbox.fault_names import FAULTS
from grabient_ops.sandbox.faults import Faults, parse_faults
from grabient_ops.sandbox.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import Drive, Driver, OpenAIDriver


@pytest.fixture
def driver(drive: Drive, provider: str, shared_sandbox: Sandbox) -> Driver:
    found: Driver = drive(provider, shared_sandbox.url)
    return found


@pytest.fixture
def chat(drive: Drive, shared_sandbox: Sandbox) -> OpenAIDriver:
    found: OpenAIDriver = drive("openai", shared_sandbox.url)
    return found


def keys(driver: Driver, batch_id: str, kind: str = "answered") -> list[str]:
    return [outcome.key for outcome in driver.outcomes(batch_id) if outcome.kind == kind]


@pytest.mark.parametrize(
    ("fault", "status"), [("rate_limit", 429), ("server_error", 500), ("unavailable", 503)]
)
def test_a_refused_call_does_nothing(
    chat: OpenAIDriver, shared_sandbox: Sandbox, fault: str, status: int
) -> None:
    file_id = chat.file([chat.line("k-0")])
    before = len(shared_sandbox.ledger()["batches"])
    shared_sandbox.faults(**{fault: 1})

    with pytest.raises(openai.APIStatusError) as caught:
        chat.create(file_id)

    assert caught.value.status_code == status
    assert caught.value.response.headers.get("retry-after") == ("1" if status == 429 else None)
    assert len(shared_sandbox.ledger()["batches"]) == before


def test_a_dropped_answer_leaves_an_accepted_batch(driver: Driver, shared_sandbox: Sandbox) -> None:
    before = len(shared_sandbox.ledger()["batches"])
    shared_sandbox.faults(accept_then_drop=1)

    with pytest.raises(Exception, match=r"[Cc]onnection error|[Dd]isconnected") as caught:
        driver.submit(3)

    assert "status_code" not in vars(caught.value)
    (accepted,) = shared_sandbox.ledger()["batches"][before:]
    assert accepted["requests"] == 3
    assert driver.ids(50)[0] == accepted["id"]


def test_a_500_after_acceptance_leaves_an_accepted_batch(
    driver: Driver, shared_sandbox: Sandbox
) -> None:
    before = len(shared_sandbox.ledger()["batches"])
    shared_sandbox.faults(accept_then_500=1)

    with pytest.raises(Exception, match="500"):
        driver.submit(3)

    assert len(shared_sandbox.ledger()["batches"]) == before + 1


def test_a_slow_answer_takes_two_seconds(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(slow=1)

    with pytest.raises(openai.APITimeoutError):
        chat.client.with_options(timeout=0.3).batches.list()


def test_a_truncated_download_is_noticed_by_the_sdk(
    driver: Driver, shared_sandbox: Sandbox
) -> None:
    batch_id = driver.submit(3)
    driver.finish(batch_id)
    shared_sandbox.faults(truncated_download=1)
    errors = (openai.APIConnectionError, anthropic.APIConnectionError, httpx2.TransportError)

    with pytest.raises((*errors, Exception), match=r"[Cc]onnection error|incomplete|closed"):
        driver.lines(batch_id)


def test_an_expired_batch_keeps_its_answers_except_at_google(
    driver: Driver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(expire=1)
    batch_id = driver.submit(10)

    word = driver.finish(batch_id)

    kinds = Counter(outcome.kind for outcome in driver.outcomes(batch_id))
    if driver.name == "google":
        assert word == "JOB_STATE_EXPIRED"
        assert not kinds
        assert shared_sandbox.entry(batch_id)["requests_billed"] == 0
    else:
        assert word == ("ended" if driver.name == "anthropic" else "expired")
        assert kinds == {"answered": 6, "unreached": 4}
        assert shared_sandbox.entry(batch_id)["requests_billed"] == 6


def test_a_rejected_batch_runs_nothing(driver: Driver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(reject=1)
    batch_id = driver.submit(2)

    word = driver.finish(batch_id)

    if driver.name == "anthropic":
        assert keys(driver, batch_id, "rejected") == ["k-1", "k-0"]
    else:
        assert word in {"failed", "JOB_STATE_FAILED"}
        assert driver.lines(batch_id) == []
    assert shared_sandbox.entry(batch_id)["requests_billed"] == 0


def test_a_full_queue_fails_the_batch_or_refuses_it(
    driver: Driver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(queue_full=1)

    if driver.name in {"anthropic", "google"}:
        with pytest.raises(Exception, match="429"):
            driver.submit(1)
    else:
        batch_id = driver.submit(1)
        assert driver.finish(batch_id) == "failed"
        batch = driver.client.batches.with_raw_response.retrieve(batch_id)
        errors = json.loads(batch.text() if driver.name == "groq" else batch.content)["errors"]
        (error,) = errors if driver.name == "groq" else errors["data"]
        assert error["code"] == "token_limit_exceeded"


def test_a_stuck_batch_never_ends(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(stuck=1)
    batch_id = chat.submit(1)
    time.sleep(0.2)

    assert not chat.ended(batch_id)


def test_half_of_the_requests_fail_in_a_way_that_may_pass(
    driver: Driver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(half_failed=1)
    batch_id = driver.submit(10)

    kinds = Counter(outcome.kind for outcome in driver.outcomes(batch_id))

    assert kinds == {"answered": 5, "failed": 5}
    assert shared_sandbox.entry(batch_id)["requests_billed"] == 5


def test_two_lines_are_rejected(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(rejected_lines=1)

    kinds = Counter(outcome.kind for outcome in chat.outcomes(chat.submit(10)))

    assert kinds == {"answered": 8, "rejected": 2}


def test_missing_requests_are_in_no_file_and_not_billed(
    driver: Driver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(missing_ids=1)
    batch_id = driver.submit(10)

    assert sorted(keys(driver, batch_id)) == [f"k-{i}" for i in range(10) if i not in {4, 9}]
    assert shared_sandbox.entry(batch_id)["requests_billed"] == 8


def test_duplicates_come_twice_and_are_billed_once(
    chat: OpenAIDriver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(duplicate_ids=1)
    batch_id = chat.submit(10)

    assert Counter(Counter(keys(chat, batch_id)).values()) == {1: 8, 2: 2}
    assert shared_sandbox.entry(batch_id)["requests_billed"] == 10


def test_reordered_results_are_complete(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(reorder=1)

    found = keys(chat, chat.submit(20))

    assert found != [f"k-{i}" for i in range(20)]
    assert sorted(found) == sorted(f"k-{i}" for i in range(20))


def test_unknown_ids_are_added(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(unknown_ids=1)

    found = keys(chat, chat.submit(5))

    assert len(found) == 7
    assert sum(key.startswith("nobody-") for key in found) == 2


def test_one_line_is_torn_and_one_is_garbage(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(malformed_line=1)
    batch_id = chat.submit(5)
    chat.finish(batch_id)
    unreadable = 0

    for line in chat.lines(batch_id):
        try:
            json.loads(line)
        except ValueError:
            unreadable += 1

    assert unreadable == 2


def test_an_error_file_id_may_be_empty_text(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(empty_error_file_id=1)
    batch_id = chat.submit(1)
    chat.finish(batch_id)

    assert chat.client.batches.retrieve(batch_id).error_file_id == ""


def test_a_completed_batch_may_have_no_output(driver: Driver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(empty_output=1)
    batch_id = driver.submit(3)

    word = driver.finish(batch_id)

    assert word in {"completed", "ended", "JOB_STATE_SUCCEEDED"}
    assert keys(driver, batch_id) == []
    if driver.name == "openai":
        assert driver.client.batches.retrieve(batch_id).output_file_id is None
        assert keys(driver, batch_id, "failed") == ["k-0", "k-1", "k-2"]
    assert shared_sandbox.entry(batch_id)["requests_billed"] == 0


def test_a_fresh_batch_may_be_unknown_for_a_second(drive: Drive, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(read_after_write_404=1)
    created = []

    for name in ("openai", "anthropic", "google"):
        driver = drive(name, shared_sandbox.url)
        created.append((driver, driver.submit(1)))
        with pytest.raises(Exception, match=r"404|not found"):
            driver.state(created[-1][1])
        assert created[-1][1] not in driver.ids(50)

    time.sleep(1.05)
    for driver, batch_id in created:
        assert driver.ended(batch_id)
        assert batch_id in driver.ids(50)


def test_five_polls_fail_and_the_sixth_works(chat: OpenAIDriver, shared_sandbox: Sandbox) -> None:
    shared_sandbox.faults(poll_500=1)
    batch_id = chat.submit(1)

    for _ in range(5):
        with pytest.raises(openai.InternalServerError):
            chat.state(batch_id)

    assert chat.state(batch_id)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_a_rate_is_kept_over_many_draws(tmp_path: Path, rate: float) -> None:
    state = State(tmp_path / "state")
    faults = Faults(state, 1, {"stuck": rate})

    fired = sum(faults.fires("stuck") for _ in range(1000))

    state.close()
    assert fired == pytest.approx(1000 * rate, abs=0 if rate in {0, 1} else 60)


def test_draws_go_on_where_they_stopped(tmp_path: Path) -> None:
    def draws(name: str, restart_after: int) -> list[bool]:
        drawn: list[bool] = []
        for count in (restart_after, 40 - restart_after):
            state = State(tmp_path / name)
            faults = Faults(state, 5, {"stuck": 0.5})
            drawn += [faults.fires("stuck") for _ in range(count)]
            state.close()
        return drawn

    assert draws("one", 40) == draws("two", 13)


def test_an_unknown_fault_is_refused_with_the_known_names() -> None:
    with pytest.raises(InputError, match="accept_then_drop") as caught:
        parse_faults(["expire=0.5", "nonsense=1"])

    assert all(name in str(caught.value) for name in FAULTS)


@pytest.mark.parametrize("text", ["expire=2", "expire=-1", "expire=often", "expire=nan", "=1"])
def test_an_odd_rate_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_faults([text])


def test_a_bare_name_means_always() -> None:
    assert parse_faults(["expire", "stuck=0.25"]) == {"expire": 1.0, "stuck": 0.25}


def test_rates_that_are_none_are_refused_in_a_sentence(shared_sandbox: Sandbox) -> None:
    answer = httpx2.post(f"{shared_sandbox.url}/sandbox/faults", content=b"[]")

    assert answer.status_code == 400
    assert answer.json() == {"error": "The body of the request must be a JSON object."}
