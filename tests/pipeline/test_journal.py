import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos._utils import INTERNAL_QUEUE_NAME
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.postgres import journal_url
from grabient_ops import errors
from grabient_ops.errors import GrabientError, RateLimitedError, UnavailableError
from grabient_ops.pipeline.journal import APPLICATION_VERSION, open_client, requeue
from grabient_ops.pipeline.retry import delay_s, is_retryable
from grabient_ops.pipeline.serializer import JournaledError, JournalSerializer

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k[:1] != "_"), inner)
    ),
)


def _again(value: object) -> object:
    serializer = JournalSerializer()
    return serializer.deserialize(serializer.serialize(value))


@given(value=_values)
def test_what_the_journal_holds_reads_back_equal(value: object) -> None:
    assert _again(value) == value


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("groq", "slow down", 2.5),
        UnavailableError("openai", "refused", outcome_unknown=False),
        errors.ConfigError("GROQ_API_KEY is not set"),
    ],
)
def test_our_errors_read_back_with_all_they_say(error: GrabientError) -> None:
    again = _again({"error": error})

    assert isinstance(again, dict)
    assert type(again["error"]) is type(error)
    assert str(again["error"]) == str(error)
    assert vars(again["error"]) == vars(error)


def test_an_error_of_others_reads_back_as_its_kind_and_text() -> None:
    once = _again(KeyError("id"))
    assert isinstance(once, JournaledError)
    assert (once.kind, once.text) == ("KeyError", "'id'")

    twice = _again(once)
    assert isinstance(twice, JournaledError)
    assert (twice.kind, twice.text) == (once.kind, once.text)


def test_a_value_that_is_no_plain_data_is_refused() -> None:
    with pytest.raises(TypeError, match="set does not belong in the journal"):
        json.loads(JournalSerializer().serialize({1}))


@pytest.mark.parametrize(("tries", "middle"), [(1, 1), (2, 2), (5, 16), (7, 64), (50, 64)])
def test_waits_double_with_jitter_up_to_a_cap(tries: int, middle: float) -> None:
    assert middle * 0.75 <= delay_s(tries, 1.0, None) <= middle * 1.25


@pytest.mark.parametrize(("asked", "least"), [(0.0, 0), (7.0, 7), (1e9, 120)])
def test_retry_after_is_honoured_with_a_cap(asked: float, least: float) -> None:
    error = RateLimitedError("groq", "slow down", asked)

    assert least <= delay_s(1, 1.0, error) <= least + 1


def test_a_failure_that_may_pass_is_repeated_and_a_bug_of_ours_is_not() -> None:
    assert is_retryable(UnavailableError("openai", "lost"))
    assert is_retryable(UnavailableError("openai", "refused", outcome_unknown=False))
    assert not is_retryable(ValueError())


def test_a_dead_executors_work_is_queued_as_dbos_itself_would_do_it(tmp_path: Path) -> None:
    client = open_client(journal_url(tmp_path))
    journal = client._sys_db
    table = journal.tables.workflow_status
    same = {
        "name": "batch", "created_at": 1, "updated_at": 1, "recovery_attempts": 3, "priority": 0,
        "started_at_epoch_ms": 1, "owner_xid": "1", "application_version": APPLICATION_VERSION,
    }  # fmt: skip

    def add(workflow_id: str, **values: object) -> None:
        row = {**same, "status": "PENDING", "executor_id": "dead", "workflow_uuid": workflow_id}
        with journal.engine.begin() as connection:
            connection.execute(sa.insert(table).values({**row, **values}))

    def read(workflow_id: str) -> dict[str, Any]:
        with journal.engine.begin() as connection:
            [row] = connection.execute(sa.select(table).where(table.c.workflow_uuid == workflow_id))
        unlike = {"workflow_uuid", "updated_at", "executor_id"}
        return {name: value for name, value in row._mapping.items() if name not in unlike}

    for executor in ("dead", "theirs"):
        add(f"{executor}-1", executor_id=executor)
        add(f"{executor}-queued", executor_id=executor, queue_name="queue")
        add(f"{executor}-ended", executor_id=executor, status="SUCCESS")
        add(f"{executor}-older", executor_id=executor, application_version="ops-0")
    names = ("1", "queued", "ended", "older")
    alive = [read(f"theirs-{name}") for name in names]

    assert requeue(journal, ["dead", "gone"]) == 2

    assert [read(f"theirs-{name}") for name in names] == alive
    for pending in journal.get_pending_workflows("theirs", APPLICATION_VERSION):
        journal.reenqueue_for_recovery(pending.workflow_id, ["theirs"], INTERNAL_QUEUE_NAME)
    assert [read(f"dead-{name}") for name in names] == [read(f"theirs-{name}") for name in names]
    client.destroy()
