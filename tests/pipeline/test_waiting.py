import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grabient_ops.errors import (
    AuthenticationError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from grabient_ops.pipeline.recovery import reopen
from grabient_ops.pipeline.services import Watch
from grabient_ops.pipeline.waiting import End, Waiter
from grabient_ops.providers.base import (
    BatchEnded,
    BatchRejected,
    BatchRunning,
    BatchState,
    ResultFile,
)
from grabient_ops.store.batches import Batch, request_cancel, update_batch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

OUTPUT = ResultFile("output", "file-1")
CANCELED = BatchEnded("canceled", (OUTPUT,))


def _wait(lab: "Lab", batch: Batch, *states: BatchState) -> End:
    lab.openai.states.extend(states)
    return lab.run(Waiter(lab.services).wait(batch.id))


def _cancel(lab: "Lab", batch: Batch) -> None:
    with lab.store.write() as connection:
        request_cancel(connection, batch.id, lab.clock())


def test_the_end_says_how_and_where_the_results_are(lab: "Lab") -> None:
    state = BatchEnded("completed", (OUTPUT, ResultFile("errors", "file-2")), "all done")

    assert _wait(lab, lab.submitted(), BatchRunning(), state) == {
        "how": "completed",
        "files": [["output", "file-1"], ["errors", "file-2"]],
        "message": "all done",
        "queue_full": False,
    }
    assert lab.openai.calls == ["poll", "poll"]


@pytest.mark.parametrize("how", ["expired", "failed", "canceled"])
def test_every_end_brings_its_files_along(lab: "Lab", how: "str") -> None:
    end = _wait(lab, lab.submitted(), BatchEnded(how, (OUTPUT,)))  # type: ignore[arg-type]

    assert (end["how"], end["files"]) == (how, [["output", "file-1"]])


@pytest.mark.parametrize("queue_full", [True, False])
def test_a_rejected_batch_ends_with_its_reason(lab: "Lab", queue_full: bool) -> None:  # noqa: FBT001
    assert _wait(lab, lab.submitted(), BatchRejected("too long", queue_full)) == {
        "how": "rejected",
        "files": [],
        "message": "too long",
        "queue_full": queue_full,
    }


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("openai", "503"),
        RateLimitedError("openai", "slow down"),
        AuthenticationError("openai", "key revoked"),
        ProviderError("openai", "?"),
    ],
)
def test_a_poll_that_fails_is_shown_and_does_not_end_the_wait(
    lab: "Lab", error: ProviderError
) -> None:
    batch = lab.submitted()
    lab.openai.will("poll", *[error] * 3)
    shown = lab.watch_errors(batch)

    assert _wait(lab, batch, BatchRunning())["how"] == "completed"
    assert shown == [None, *[str(error)] * 3, None]


def test_an_unknown_id_is_waited_for_while_the_provider_may_not_list_it_yet(lab: "Lab") -> None:
    lab.openai.will("poll", *[NotFoundError("openai", "no such batch")] * 3)

    assert _wait(lab, lab.submitted())["how"] == "completed"


def test_an_id_that_stays_unknown_for_half_an_hour_ends_as_failed(lab: "Lab") -> None:
    batch = lab.submitted()
    lab.openai.will("poll", *[NotFoundError("openai", "no such batch")] * 9)
    lab.openai.on_call = lambda _: lab.clock.forward(600)

    end = _wait(lab, batch)
    assert (end["how"], end["files"]) == ("failed", [])
    assert end["message"] == "the provider does not know it: openai: no such batch"


def test_results_that_come_late_are_waited_for(lab: "Lab") -> None:
    late = BatchRunning(resultless=True)

    end = _wait(lab, lab.submitted(), late, late, BatchEnded("completed", (OUTPUT,)))

    assert end["files"] == [["output", "file-1"]]


def test_results_that_never_come_are_given_up(lab: "Lab") -> None:
    lab.openai.on_call = lambda _: lab.clock.forward(lab.services.policy.poll_s * 61)

    end = _wait(lab, lab.submitted(), *[BatchRunning(resultless=True)] * 4)

    assert (end["how"], end["files"]) == ("completed", [])
    assert end["message"] == "it has ended without results"


def test_a_state_we_do_not_know_is_shown_and_waited_out(lab: "Lab") -> None:
    batch = lab.submitted()
    shown = lab.watch_errors(batch)

    end = _wait(lab, batch, BatchRunning(unfamiliar="pondering"), BatchRunning())
    assert end["how"] == "completed"
    assert shown == [None, "unfamiliar state 'pondering', waiting on", None]


def test_the_providers_counts_are_shown_and_written_only_when_they_change(lab: "Lab") -> None:
    batch = lab.submitted()
    before = len(lab.announced("batches"))
    _wait(lab, batch, BatchRunning(1), BatchRunning(1), BatchRunning(2, 1), BatchRunning(2, 1))

    stored = lab.services.batch(batch.id)
    assert (stored.live_completed, stored.live_failed) == (2, 1)
    assert len(lab.announced("batches")) - before == 2


def test_a_cancel_is_passed_on_once_and_the_end_waited_for(lab: "Lab") -> None:
    batch = lab.submitted()
    _cancel(lab, batch)

    end = _wait(lab, batch, *[BatchRunning(canceling=True)] * 2, CANCELED)
    assert (end["how"], end["files"]) == ("canceled", [["output", "file-1"]])
    assert lab.openai.canceled == ["openai-batch-1"]
    assert lab.services.batch(batch.id).state == "canceling"


def test_a_cancel_that_fails_is_tried_again_at_the_next_poll(lab: "Lab") -> None:
    batch = lab.submitted()
    _cancel(lab, batch)
    lab.openai.will("cancel", UnavailableError("openai", "503"))

    assert _wait(lab, batch, BatchRunning(), CANCELED)["how"] == "canceled"
    assert lab.openai.calls.count("cancel") == 2


def test_a_cancel_without_effect_is_repeated_before_each_poll_until_it_has_one(lab: "Lab") -> None:
    batch = lab.submitted()
    _cancel(lab, batch)
    before = len(lab.announced("batches"))

    _wait(lab, batch, *[BatchRunning()] * 2, *[BatchRunning(canceling=True)] * 2, CANCELED)
    assert lab.openai.calls == ["cancel", "poll"] * 3 + ["poll"] * 2
    assert len(lab.announced("batches")) - before == 1


def test_a_batch_that_has_ended_without_results_is_not_cancelled_again(lab: "Lab") -> None:
    batch = lab.submitted()
    _cancel(lab, batch)

    _wait(lab, batch, *[BatchRunning(resultless=True)] * 3, CANCELED)
    assert lab.openai.canceled == ["openai-batch-1"]


def test_a_cancel_that_fails_is_shown_and_written_once_until_one_is_accepted(lab: "Lab") -> None:
    batch = lab.submitted()
    _cancel(lab, batch)
    before = len(lab.announced("batches"))
    lab.openai.will("cancel", *[UnavailableError("openai", "503")] * 3)
    shown = lab.watch_errors(batch)

    _wait(lab, batch, *[BatchRunning()] * 3, BatchRunning(canceling=True), CANCELED)
    assert shown == [None, *["cancel: openai: 503"] * 6, None, None]
    assert len(lab.announced("batches")) - before == 2


def _let_time_pass_with_each_call(lab: "Lab") -> None:
    """Half of the time that a cancel is given."""
    lab.openai.on_call = lambda _: lab.clock.forward(lab.policy.poll_s * 61)


def test_a_batch_that_neither_ends_nor_cancels_is_given_up_at_twice_the_age(lab: "Lab") -> None:
    batch = lab.submitted()
    lab.clock.forward(2 * lab.policy.stall_s)
    _let_time_pass_with_each_call(lab)

    assert _wait(lab, batch, *[BatchRunning(canceling=True)] * 9) == {
        "how": "failed",
        "files": [],
        "message": "the provider neither finishes nor cancels it",
        "queue_full": False,
    }


def test_before_twice_the_age_a_cancel_is_waited_for(lab: "Lab") -> None:
    batch = lab.submitted()
    lab.clock.forward(1.5 * lab.policy.stall_s)
    _let_time_pass_with_each_call(lab)

    assert _wait(lab, batch, *[BatchRunning(canceling=True)] * 9, CANCELED)["how"] == "expired"


def test_a_clock_that_is_set_forth_leaves_the_cancel_its_time(lab: "Lab") -> None:
    batch = lab.submitted()
    lab.clock.set(9 * lab.policy.stall_s)

    end = _wait(lab, batch, *[BatchRunning(canceling=True)] * 3, CANCELED)
    assert (end["how"], end["files"]) == ("expired", [["output", "file-1"]])


def test_a_batch_that_was_given_up_is_asked_for_once_more_when_it_is_restarted(lab: "Lab") -> None:
    batch = lab.submitted()
    lab.clock.forward(2 * lab.policy.stall_s)
    _let_time_pass_with_each_call(lab)
    waiter = Waiter(lab.services)
    lab.openai.states.extend([BatchRunning(canceling=True)] * 2)
    assert lab.run(waiter.wait(batch.id))["how"] == "failed"

    reopen(lab.services, batch.id)
    lab.openai.states.extend([BatchRunning(canceling=True), CANCELED])
    assert lab.run(waiter.wait(batch.id))["files"] == [["output", "file-1"]]


def test_a_cancel_that_came_too_late_changes_nothing(lab: "Lab") -> None:
    batch = lab.submitted()
    _cancel(lab, batch)

    assert _wait(lab, batch, BatchEnded("completed", (OUTPUT,)))["how"] == "completed"


def test_a_cancel_during_the_pause_is_heeded_at_once(lab: "Lab") -> None:
    batch = lab.submitted()

    async def cancel_while_it_pauses() -> End:
        slow = replace(lab.services, policy=replace(lab.policy, poll_s=60.0))
        lab.openai.states.extend([BatchRunning(), CANCELED])
        wait = asyncio.create_task(Waiter(slow).wait(batch.id))
        await asyncio.sleep(0.1)
        _cancel(lab, batch)
        slow.wakes.tell(batch.id, "changed")
        return await wait

    assert lab.run(cancel_while_it_pauses())["how"] == "canceled"


def test_a_cancel_during_the_poll_is_heeded_before_the_pause(lab: "Lab") -> None:
    batch = lab.submitted()
    slow = replace(lab.services, policy=replace(lab.policy, poll_s=60.0))
    lab.openai.states.extend([BatchRunning(), CANCELED])

    def cancel_and_wake_too_early(method: str) -> None:
        if method == "poll":
            _cancel(lab, batch)
            slow.wakes.tell(batch.id, "changed")

    lab.openai.on_call = cancel_and_wake_too_early

    assert lab.run(Waiter(slow).wait(batch.id))["how"] == "canceled"


def test_other_news_about_a_batch_does_not_cut_its_pause_short(lab: "Lab") -> None:
    batch = lab.submitted()

    async def disturb() -> None:
        slow = replace(lab.services, policy=replace(lab.policy, poll_s=60.0))
        lab.openai.states.extend([BatchRunning()] * 9)
        wait = asyncio.create_task(Waiter(slow).wait(batch.id))
        for _ in range(5):
            await asyncio.sleep(0.02)
            with lab.store.write() as connection:
                update_batch(connection, batch.id, lab.clock(), error="news")
            slow.wakes.tell(batch.id, "changed")
        wait.cancel()

    lab.run(disturb())
    assert lab.openai.calls == ["poll"]


def _pauses(lab: "Lab", batch: Batch, monkeypatch: pytest.MonkeyPatch, polls: int) -> list[float]:
    """Return how long so many polls, a minute apart at first, are waited after."""
    patient = replace(lab.services, policy=replace(lab.policy, poll_s=60.0))
    pauses: list[float] = []

    async def note(_watch: Watch, seconds: float) -> None:
        pauses.append(seconds)
        lab.clock.forward(seconds)

    monkeypatch.setattr(Watch, "wait", note)
    lab.openai.states.extend([BatchRunning()] * polls)
    lab.run(Waiter(patient).wait(batch.id))
    return pauses


def test_polls_become_rarer_up_to_twenty_times_the_first_wait(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = _pauses(lab, lab.submitted(), monkeypatch, 12)

    assert 54 <= pauses[0] <= 80
    assert all(1080 <= pause <= 1320 for pause in pauses[-3:])
    assert pauses[:6] == sorted(pauses[:6])


def test_a_restart_does_not_poll_an_old_batch_as_often_as_a_new_one(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = lab.submitted()
    lab.clock.forward(3600)

    assert _pauses(lab, batch, monkeypatch, 1)[0] >= 1080


def test_a_batch_from_the_future_is_polled_like_a_new_one(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = lab.submitted()
    lab.clock.set(-3600)

    assert 54 <= _pauses(lab, batch, monkeypatch, 1)[0] <= 80


def test_no_more_than_some_polls_of_a_provider_are_under_way_at_once(lab: "Lab") -> None:
    batch = lab.submitted()
    under_way, most = 0, 0
    lock = threading.Lock()

    def poll_slowly(_method: str) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1

    lab.openai.on_call = poll_slowly

    async def poll_from_everywhere() -> None:
        waiter = Waiter(lab.services)
        await asyncio.gather(*(waiter.wait(batch.id) for _ in range(40)))

    lab.run(poll_from_everywhere())
    assert lab.openai.calls == ["poll"] * 40
    assert 1 < most <= 16


def test_a_stuck_batch_is_given_up_and_counts_as_expired(lab: "Lab") -> None:
    batch = lab.submitted()
    lab.clock.forward(lab.policy.stall_s + 1)

    end = _wait(lab, batch, BatchRunning(canceling=True), CANCELED)
    assert (end["how"], end["files"]) == ("expired", [["output", "file-1"]])
    assert lab.openai.canceled == ["openai-batch-1"]
    assert lab.services.batch(batch.id).cancel_requested_at is None


def test_a_batch_cancelled_at_the_providers_console_is_canceled(lab: "Lab") -> None:
    assert _wait(lab, lab.submitted(), CANCELED)["how"] == "canceled"
    assert lab.openai.canceled == []


def test_a_wait_that_is_taken_up_again_after_a_kill_goes_on(lab: "Lab") -> None:
    batch = lab.submitted()
    _cancel(lab, batch)
    lab.services.update(batch.id, state="canceling")

    assert _wait(lab, batch, BatchRunning(canceling=True), CANCELED)["how"] == "canceled"
    assert lab.openai.canceled == []
