import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from dbos import DBOS, DBOSClient, EnqueueOptions
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from grabient_ops.errors import AuthenticationError, InputError, StoreError, UnavailableError
from grabient_ops.pipeline import worker as worker_module
from grabient_ops.pipeline.journal import launch_journal, open_client
from grabient_ops.pipeline.recovery import (
    WORKFLOW_NAME,
    cancel,
    list_workflows,
    restart,
    show_workflow,
)
from grabient_ops.pipeline.reparse import Reparser
from grabient_ops.pipeline.stages import STAGES
from grabient_ops.pipeline.standstill import Standstill
from grabient_ops.pipeline.worker import Worker
from grabient_ops.providers.base import BatchEnded, BatchRunning, ResultFile, Submission
from grabient_ops.providers.catalog import Catalog
from grabient_ops.store.batches import Batch, list_unbegun, request_cancel
from grabient_ops.store.changes import mark_now
from grabient_ops.store.completions import list_due
from grabient_ops.store.engine import Store
from tests.pipeline.conftest import for_a_while

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

DONE = Standstill({})
OUTPUT = (ResultFile("output", "f"),)
WRONG_KEY = AuthenticationError("openai", "wrong key")


def _worker(lab: "Lab") -> Worker:
    return Worker(lab.services, lab.journal_url, timedelta(days=30))


def _work(lab: "Lab", on_tick: Callable[[], None] | None = None) -> Standstill | None:
    """Work in this process until nothing is left to do."""
    return _worker(lab).run(until_done=True, on_tick=on_tick)


class _Journal:
    """The operator's view of the journal, opened anew for every question."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab

    def __enter__(self) -> DBOSClient:
        self._client = open_client(self._lab.journal_url)
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.destroy()


def _restart(lab: "Lab", batch: Batch, step: str | None) -> None:
    with _Journal(lab) as journal:
        restart(lab.services, journal, batch.id, step)


def _stopped(lab: "Lab") -> Batch:
    """A batch of which nothing could be collected, because the key was wrong."""
    lab.palettes(2)
    lab.want()
    lab.openai.will("download", WRONG_KEY)
    standstill = _work(lab)
    assert standstill is not None
    assert [block.reason for block in standstill.blocked.values()] == [
        "a batch stopped (openai: wrong key)"
    ]
    (batch,) = lab.batches()
    assert (batch.state, batch.error) == ("stopped", "openai: wrong key")
    return batch


def _outcome(lab: "Lab") -> list[tuple[int, str | None]]:
    return [(row["attempt"], row["error_class"]) for row in lab.rows()]


def test_a_pass_of_two_runs_at_four_providers_goes_through(lab: "Lab") -> None:
    lab.palettes(3)
    lab.want("openai", "anthropic", "google", "groq", runs=2)

    assert _work(lab) == DONE
    assert _outcome(lab) == [(1, None)] * 24
    assert {batch.state for batch in lab.batches()} == {"completed"}
    with lab.store.read() as connection:
        assert list_due(connection) == []
    assert list(lab.services.spool.iterdir()) == []


def test_without_work_the_worker_does_not_even_open_the_journal(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.pipeline.worker.launch_journal", pytest.fail)

    assert _work(lab) == DONE


def test_the_journal_of_a_batch_does_not_grow_with_the_wait(lab: "Lab") -> None:
    lab.palettes(1)
    lab.want()
    lab.services = replace(lab.services, policy=replace(lab.policy, poll_s=0.002))
    lab.openai.states.extend([BatchRunning(n) for n in range(40)])
    _work(lab)

    assert lab.openai.calls.count("poll") == 41
    with _Journal(lab) as journal:
        workflow, steps = show_workflow(lab.services, journal, lab.batches()[0].id)
        assert workflow.state == "done"
        assert [step.name for step in steps] == ["upload", "create", "await_end", "collect"]
        assert [item.state for item in list_workflows(lab.services, journal)] == ["done"]


def test_a_batch_in_flight_takes_no_thread(lab: "Lab") -> None:
    lab.palettes(60)
    lab.want()
    models = [replace(model, batch_requests=1) for model in lab.services.catalog.models]
    lab.services = replace(lab.services, catalog=Catalog(models))
    lab.openai.states.extend([BatchRunning()] * 100_000)
    threads = 0

    def count_once_all_wait() -> None:
        nonlocal threads
        if [batch.state for batch in lab.batches()] == ["waiting"] * 60:
            threads = sum(thread.name.startswith("dbos-exec") for thread in threading.enumerate())
            lab.openai.states.clear()

    assert _work(lab, on_tick=count_once_all_wait) == DONE
    assert 0 < threads < 60


def test_a_strangers_batch_is_given_back_and_ours_found(lab: "Lab") -> None:
    lab.palettes(2)
    lab.want("anthropic")
    fake = lab.anthropic
    stranger = Submission("stranger", lab.model("anthropic"), lab.folder, 2)
    fake.will("create", UnavailableError("anthropic", "lost"))
    fake.on_call = lambda method: (
        fake.accept(stranger) if fake.calls == ["upload", "high_water", "create"] else method
    )

    assert _work(lab) == DONE
    (batch,) = lab.batches()
    assert batch.foreign_ids == ["anthropic-batch-1"]
    assert batch.provider_batch_id == "anthropic-batch-2"
    assert _outcome(lab) == [(1, None)] * 2
    assert lab.query("SELECT * FROM stray_results") == []


def test_a_cancel_is_heeded_at_once_and_what_was_finished_is_kept(lab: "Lab") -> None:
    lab.palettes(2)
    lab.want()
    lab.services = replace(lab.services, policy=replace(lab.policy, poll_s=60.0))
    lab.openai.states.append(BatchRunning())

    def cancel_when_it_waits() -> None:
        (batch,) = lab.batches()
        if batch.state == "waiting" and batch.cancel_requested_at is None:
            lab.openai.files["f"] = lab.answer(f"{batch.id}-1")
            lab.openai.states.append(BatchEnded("canceled", OUTPUT))
            cancel(lab.services, batch.id)

    assert _work(lab, cancel_when_it_waits) == DONE
    assert _outcome(lab) == [(1, None), (1, "canceled")]
    assert [batch.state for batch in lab.batches()] == ["canceled"]
    assert lab.openai.calls.count("create") == 1


def test_collecting_again_adds_nothing(lab: "Lab") -> None:
    lab.palettes(3)
    lab.want()
    _work(lab)
    before = lab.rows()
    _restart(lab, lab.batches()[0], "collect")

    assert _work(lab) == DONE
    assert lab.rows() == before
    assert lab.batches()[0].state == "completed"
    assert lab.openai.calls.count("download") == 2
    assert lab.openai.calls.count("create") == 1


def test_restarting_from_the_first_step_buys_nothing_again(lab: "Lab") -> None:
    lab.palettes(3)
    lab.want()
    _work(lab)
    before = lab.rows()
    _restart(lab, lab.batches()[0], "1")

    assert _work(lab) == DONE
    assert lab.rows() == before
    assert lab.openai.calls.count("create") == 1


def test_a_running_worker_delivers_the_ending_of_a_restart(lab: "Lab") -> None:
    lab.palettes(2)
    lab.want("openai", "groq")
    groq = lab.providers["groq"]
    groq.states.extend([BatchRunning()] * 1000)
    endings: list[str] = []

    def restart_once() -> None:
        batch = next(batch for batch in lab.batches() if batch.provider == "openai")
        if batch.state == "completed" and not endings:
            endings.append("first")
            _restart(lab, batch, "collect")
        elif batch.state == "completed" and lab.openai.calls.count("download") == 2:
            endings.append("second")
            groq.states.clear()

    assert _work(lab, for_a_while(groq, restart_once)) == DONE
    assert endings[:2] == ["first", "second"]
    assert {batch.state for batch in lab.batches()} == {"completed"}


@pytest.mark.parametrize("call", ["upload", "poll", "download"])
def test_a_workflow_that_the_journals_database_broke_goes_on_by_itself(
    lab: "Lab", call: str
) -> None:
    lab.palettes(2)
    lab.want()
    lab.openai.will(call, OperationalError("INSERT", None, Exception("the connection is bad")))

    assert _work(lab) == DONE
    assert _outcome(lab) == [(1, None)] * 2
    assert [batch.state for batch in lab.batches()] == ["completed"]
    assert lab.openai.calls.count("create") == 1


def test_a_workflow_that_always_breaks_is_given_back_in_the_end(lab: "Lab") -> None:
    lab.palettes(2)
    lab.want()
    lab.openai.will("download", *[OperationalError("INSERT", None, Exception("broken"))] * 6)

    assert _work(lab) != DONE
    assert [batch.state for batch in lab.batches()] == ["stopped"]


def test_a_stopped_batch_goes_on_with_the_next_start_and_pays_nothing_twice(lab: "Lab") -> None:
    batch = _stopped(lab)

    assert _work(lab) == DONE
    assert _outcome(lab) == [(1, None)] * 2
    assert lab.services.batch(batch.id).state == "completed"
    assert lab.openai.calls.count("create") == 1


def test_a_stopped_batch_goes_on_when_it_is_resumed(lab: "Lab") -> None:
    batch = _stopped(lab)
    _restart(lab, batch, None)

    assert lab.services.batch(batch.id).state == "waiting"
    assert _work(lab) == DONE
    assert _outcome(lab) == [(1, None)] * 2


def test_a_stopped_batch_goes_on_although_the_journal_has_forgotten_it(lab: "Lab") -> None:
    batch = _stopped(lab)
    lab.forget_journal()

    assert _work(lab) == DONE
    assert _outcome(lab) == [(1, None)] * 2
    assert lab.services.batch(batch.id).state == "completed"
    assert lab.openai.calls.count("create") == 1


def test_results_that_turn_up_after_their_batch_was_given_up_are_still_collected(
    lab: "Lab",
) -> None:
    lab.services = replace(lab.services, policy=replace(lab.policy, max_attempts=1))
    lab.palettes(3)
    lab.want()
    lab.openai.states.append(BatchEnded("failed"))
    _work(lab)
    assert _outcome(lab) == [(1, "missing")] * 3

    lab.openai.files["f"] = b"".join(lab.answer(f"{lab.batches()[0].id}-{n}") for n in (0, 2))
    lab.openai.states.append(BatchEnded("completed", OUTPUT))
    _restart(lab, lab.batches()[0], "await_end")
    assert _work(lab) == DONE
    assert _outcome(lab)[3:] == [(2, None), (2, None), (2, "missing")]
    assert lab.openai.calls.count("create") == 1


def test_a_given_up_request_that_is_asked_again_elsewhere_is_left_to_that_batch(
    lab: "Lab",
) -> None:
    lab.palettes(2)
    lab.want()
    lab.openai.states.append(BatchEnded("failed"))
    _work(lab)
    assert _outcome(lab) == [(1, "missing")] * 2 + [(2, None)] * 2

    _restart(lab, lab.batches()[0], "await_end")
    assert _work(lab) == DONE
    assert len(lab.rows()) == 4


def test_what_is_asked_for_while_the_worker_starts_is_not_overlooked(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.palettes(1)
    lab.want("openai", "groq")
    _work(lab)
    lab.palettes(1, first=1)
    lab.want("groq")

    def launch_late(url: str, _otlp_url: str | None, executor_id: str) -> None:
        lab.want("openai")
        launch_journal(url, executor_id=executor_id)

    monkeypatch.setattr(worker_module, "launch_journal", launch_late)

    assert _work(lab) == DONE
    assert len(lab.rows()) == 4


def test_answers_taken_back_by_a_stricter_parser_are_asked_for_by_a_running_worker(
    lab: "Lab",
) -> None:
    lab.palettes(1)
    lab.want(runs=2)

    def take_back_the_first() -> None:
        batches = lab.batches()
        if len(batches) == 1:
            lab.openai.states.extend([BatchEnded("completed", OUTPUT)] + [BatchRunning()] * 1000)
        if len(batches) == 2 and not lab.rows()[0]["error_class"]:
            with lab.store.write() as connection:
                connection.exec_driver_sql("UPDATE palette_tags SET response = 'nothing'")
            Reparser(lab.services, STAGES["tagging"], dry_run=False, allow_loss=True).run(
                lambda _: None
            )
        if len(batches) == 3:
            lab.openai.states.clear()

    lab.openai.files["f"] = b""
    lab.openai.on_call = lambda _: lab.openai.files.update(f=lab.answer(f"{lab.batches()[0].id}-0"))
    assert _work(lab, for_a_while(lab.openai, take_back_the_first)) == DONE
    assert [(b.run_number, b.attempt) for b in lab.batches()] == [(1, 1), (2, 1), (1, 2)]


@pytest.mark.parametrize(
    ("step", "message"), [("brew", "has no step 'brew'; it has 1 upload"), ("9", "has no step '9'")]
)
def test_an_unknown_step_is_refused_with_the_known_ones(
    lab: "Lab", step: str, message: str
) -> None:
    lab.palettes(1)
    lab.want()
    _work(lab)

    with pytest.raises(InputError, match=message):
        _restart(lab, lab.batches()[0], step)
    assert lab.batches()[0].state == "completed"


def test_what_was_never_sent_cannot_be_restarted(lab: "Lab") -> None:
    lab.palettes(1)
    lab.want()
    batch = lab.services.batch(lab.plan().reserved[0])
    cancel(lab.services, batch.id)
    _work(lab)

    assert lab.services.batch(batch.id).state == "canceled"
    with pytest.raises(InputError, match="nothing of batch"):
        _restart(lab, batch, "create")
    with pytest.raises(InputError, match="has ended: canceled"):
        cancel(lab.services, batch.id)


def test_a_workflow_that_an_older_release_left_goes_on_under_this_one(lab: "Lab") -> None:
    batch = lab.reserve(2)
    with _Journal(lab) as journal:
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW_NAME,
            "queue_name": "_dbos_internal_queue",
            "workflow_id": batch.workflow_id,
            "app_version": "ops-0",
        }
        journal.enqueue(options, batch.id)

    assert _work(lab) == DONE

    assert lab.services.batch(batch.id).state == "completed"
    assert lab.openai.calls.count("create") == 1


def test_what_the_journal_does_not_know_is_begun_whosever_share_it_is(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.submitted()
    worker = _worker(lab)
    monkeypatch.setattr(worker._tenure, "is_mine", lambda _: False)

    worker.run(until_done=True, on_tick=_within_half_a_minute(worker))

    assert [batch.state for batch in lab.batches()] == ["completed"]


def test_a_workflow_whose_start_failed_is_started_again(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_PLAN_AT_LEAST_EVERY_S", 0.2)
    start, failures = DBOS.start_workflow_async, [OperationalError("insert", {}, Exception("full"))]

    async def fail_once(*words: Any) -> object:  # noqa: ANN401 - passed through
        if failures:
            raise failures.pop()
        return await start(*words)

    monkeypatch.setattr(DBOS, "start_workflow_async", fail_once)
    lab.palettes(1)
    lab.want()
    worker = _worker(lab)

    worker.run(until_done=True, on_tick=_within_half_a_minute(worker))

    assert _outcome(lab) == [(1, None)]


def _within_half_a_minute(worker: Worker) -> Callable[[], None]:
    deadline = time.monotonic() + 60

    def tick() -> None:
        if time.monotonic() > deadline:
            worker.stop()

    return tick


def test_news_of_a_reading_that_failed_at_its_end_are_told_at_the_next_look(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = _worker(lab)
    with lab.store.read() as connection:
        worker._mark = mark_now(connection)
    batch = lab.submitted()
    told: list[str] = []
    monkeypatch.setattr(lab.services.wakes, "tell", lambda batch_id, _news: told.append(batch_id))
    read, failures = Store.read, [StoreError("hung up")]

    @contextmanager
    def fail_once(store: Store) -> Iterator[Connection]:
        with read(store) as connection:
            yield connection
        if failures:
            raise failures.pop()

    monkeypatch.setattr(Store, "read", fail_once)
    with pytest.raises(StoreError):
        worker._follow_changes()
    worker._follow_changes()

    assert batch.id in told


def test_what_is_given_up_before_it_was_sent_may_be_ended_by_anybody(lab: "Lab") -> None:
    given_up = lab.reserve()
    lab.palettes(1, first=3)
    lab.want()
    (waiting,) = lab.plan().reserved
    for batch_id in (given_up.id, waiting):
        lab.services.update(batch_id, state="over_budget")
    with lab.store.write() as connection:
        request_cancel(connection, given_up.id, lab.clock())

    with lab.store.read() as connection:
        assert list_unbegun(connection) == [given_up.id]
