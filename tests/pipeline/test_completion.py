from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from grabient_ops.errors import AuthenticationError, ProviderError, UnavailableError
from grabient_ops.pipeline.batches import NEVER_SENT
from grabient_ops.pipeline.completion import complete
from grabient_ops.pipeline.serializer import JournaledError
from grabient_ops.pipeline.waiting import End
from grabient_ops.store.batches import QUEUE_FULL, Batch, request_cancel
from grabient_ops.store.requests import count_requests

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab


def _end(how: str, message: str | None = None, *, queue_full: bool = False) -> End:
    return {"how": how, "files": [], "message": message, "queue_full": queue_full}


def _complete(lab: "Lab", batch: Batch, outcome: End | Exception) -> bool:
    return complete(lab.services, batch.workflow_id, batch.id, outcome)


def _requests(lab: "Lab", batch: Batch) -> dict[str, int]:
    with lab.store.read() as connection:
        return count_requests(connection, batch.id)


@pytest.mark.parametrize(
    ("how", "kind", "state", "error_class"),
    [
        ("completed", "success", "completed", "missing"),
        ("expired", "success", "expired", "expired"),
        ("failed", "failed", "failed", "missing"),
        ("rejected", "failed", "failed", "invalid_request"),
        ("canceled", "canceled", "canceled", "canceled"),
    ],
)
def test_every_end_closes_the_batch_and_accounts_for_every_request(
    lab: "Lab", how: str, kind: str, state: str, error_class: str
) -> None:
    batch = lab.submitted(3)
    assert _complete(lab, batch, _end(how, "the provider's word"))

    stored = lab.services.batch(batch.id)
    assert stored.state == state
    assert stored.ended_at is not None
    assert stored.error == "the provider's word"
    assert lab.query("SELECT kind FROM completions") == [(kind,)]
    assert [(row["error_class"], row["error"]) for row in lab.rows()] == [
        (error_class, "the provider's word")
    ] * 3
    assert _requests(lab, batch) == {"missing": 3}


@pytest.mark.parametrize(
    ("how", "due_again"), [("completed", 3), ("expired", 3), ("failed", 3), ("canceled", 0)]
)
def test_unanswered_requests_are_asked_again_unless_an_operator_cancelled(
    lab: "Lab", how: str, due_again: int
) -> None:
    batch = lab.submitted(3)
    _complete(lab, batch, _end(how))

    lab.plan()
    assert sum(b.request_count for b in lab.batches()[1:]) == due_again
    assert all(b.attempt == 2 for b in lab.batches()[1:])


@pytest.mark.parametrize("how", ["completed", "failed", "expired"])
def test_what_an_operator_cancelled_is_not_asked_again_however_it_ended(
    lab: "Lab", how: str
) -> None:
    batch = lab.submitted(3)
    with lab.store.write() as connection:
        request_cancel(connection, batch.id, lab.clock())
    _complete(lab, batch, _end(how, "the provider's word"))

    errors = [(row["error_class"], row["error"]) for row in lab.rows()]
    assert errors == [("canceled", "the provider's word")] * 3
    assert lab.plan().reserved == []


def test_a_request_without_a_line_says_how_its_batch_ended(lab: "Lab") -> None:
    batch = lab.submitted(1)
    lab.services.update(batch.id, state="collecting")
    _complete(lab, lab.services.batch(batch.id), _end("completed"))

    assert lab.rows()[0]["error"] == "no answer: the batch was completed"


def test_a_completion_is_delivered_exactly_once_under_many_callers(lab: "Lab") -> None:
    batch = lab.submitted(3)
    with ThreadPoolExecutor(4) as pool:
        delivered = pool.map(lambda _: _complete(lab, batch, _end("completed")), range(8))

    assert sorted(delivered) == [False] * 7 + [True]
    assert len(lab.rows()) == 3


def test_the_second_ending_of_a_workflow_changes_nothing(lab: "Lab") -> None:
    batch = lab.submitted(1)
    _complete(lab, batch, _end("completed"))
    before = (lab.services.batch(batch.id), lab.rows())

    assert not _complete(lab, batch, UnavailableError("openai", "late"))
    assert (lab.services.batch(batch.id), lab.rows()) == before


def test_the_files_of_a_closed_batch_are_removed(lab: "Lab") -> None:
    batch = lab.submitted(1)
    folder = lab.services.spool_of(batch.id)
    folder.mkdir(parents=True)
    (folder / "output.jsonl").touch()
    _complete(lab, batch, _end("completed"))

    assert not folder.exists()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AuthenticationError("openai", "wrong key"), "AuthenticationError"),
        (JournaledError("KeyError", "'id'"), "KeyError"),
    ],
)
def test_a_workflow_that_broke_after_the_submission_keeps_its_requests_and_files(
    lab: "Lab", error: Exception, kind: str
) -> None:
    batch = lab.submitted(3)
    folder = lab.services.spool_of(batch.id)
    folder.mkdir(parents=True)
    assert _complete(lab, batch, error)

    stored = lab.services.batch(batch.id)
    assert (stored.state, stored.error_class, stored.error) == ("stopped", kind, str(error))
    assert (_requests(lab, batch), lab.rows()) == ({"open": 3}, [])
    assert lab.plan().reserved == []
    assert folder.exists()


def test_an_unknown_creation_counts_as_sent(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.services.update(batch.id, submit_started_at=lab.clock())
    _complete(lab, batch, UnavailableError("openai", "?"))

    assert lab.services.batch(batch.id).state == "stopped"
    assert _requests(lab, batch) == {"open": 3}


def test_a_workflow_that_broke_before_the_submission_gives_its_requests_back(lab: "Lab") -> None:
    batch = lab.reserve()
    _complete(lab, batch, AuthenticationError("openai", "wrong key"))

    stored = lab.services.batch(batch.id)
    assert (stored.state, stored.error) == ("failed", "openai: wrong key")
    assert (_requests(lab, batch), lab.rows()) == ({"released": 3}, [])
    lab.plan()
    assert (lab.batches()[1].request_count, lab.batches()[1].attempt) == (3, 1)


@pytest.mark.parametrize(
    "outcome", [NEVER_SENT, UnavailableError("openai", "down", outcome_unknown=False)]
)
def test_cancelled_before_it_was_sent_it_is_not_planned_again(
    lab: "Lab", outcome: End | ProviderError
) -> None:
    batch = lab.reserve()
    with lab.store.write() as connection:
        request_cancel(connection, batch.id, lab.clock())
    _complete(lab, batch, outcome)

    assert lab.services.batch(batch.id).state == "canceled"
    assert [row["error_class"] for row in lab.rows()] == ["canceled"] * 3
    assert lab.plan().reserved == []


def test_a_full_queue_uses_up_no_attempt(lab: "Lab") -> None:
    batch = lab.submitted(3)
    _complete(lab, batch, _end("rejected", "enqueued token limit", queue_full=True))

    stored = lab.services.batch(batch.id)
    assert (stored.state, stored.error_class) == ("failed", QUEUE_FULL)
    assert (_requests(lab, batch), lab.rows()) == ({"released": 3}, [])
