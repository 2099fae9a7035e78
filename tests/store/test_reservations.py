from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from grabient_ops.store.batches import (
    QUEUE_FULL,
    find_batches,
    list_endings,
    list_open_batch_ids,
    load_batch,
    open_requests_of_model,
    request_cancel,
    update_batch,
)
from grabient_ops.store.completions import claim, list_due, rearm
from grabient_ops.store.requests import (
    close_open_requests,
    close_requests,
    count_open_requests,
    count_requests,
    list_requests,
)
from grabient_ops.store.targets import Unanswered, list_unanswered, raise_targets

if TYPE_CHECKING:
    from tests.store.conftest import Shelf


def _due(shelf: "Shelf", run_number: int = 1) -> list[Unanswered]:
    with shelf.store.read() as connection:
        return list_unanswered(connection, shelf.target, run_number, 3, 100)


def test_a_reservation_is_written_before_anything_is_sent(shelf: "Shelf") -> None:
    shelf.plan("a", "b")
    batch_id = shelf.reserve("b", "a", attempt=2)

    with shelf.store.read() as connection:
        batch = load_batch(connection, batch_id)
        assert (batch.state, batch.request_count, batch.attempt) == ("reserved", 2, 2)
        assert (batch.submit_started_at, batch.provider_batch_id) == (None, None)
        asked = [(item.position, item.seed) for item in list_requests(connection, batch_id)]
        assert asked == [(0, "b"), (1, "a")]
        assert [item.batch_id for item in list_due(connection)] == [batch_id]
    assert _due(shelf) == []


def test_one_request_cannot_be_reserved_twice_at_a_time(shelf: "Shelf") -> None:
    shelf.plan("a", "b", runs=2)
    shelf.reserve("a")

    with pytest.raises(sa.exc.IntegrityError):
        shelf.reserve("b", "a")

    with shelf.store.read() as connection:
        assert len(list_open_batch_ids(connection)) == 1
        assert count_open_requests(connection, shelf.target, 1) == 1
    # Another run is another request.
    shelf.reserve("b", "a", run_number=2)


@pytest.mark.parametrize("state", ["released", "missing", "succeeded", "failed"])
def test_a_closed_request_may_be_reserved_again(shelf: "Shelf", state: str) -> None:
    shelf.plan("a")
    first = shelf.reserve("a")
    with shelf.store.write() as connection:
        close_open_requests(connection, first, state)

    second = shelf.reserve("a")

    with shelf.store.read() as connection:
        assert count_requests(connection, first) == {state: 1}
        assert count_requests(connection, second) == {"open": 1}
        assert load_batch(connection, second).chunk == 2


def test_closing_some_requests_leaves_the_others_open(shelf: "Shelf") -> None:
    batch_id = shelf.reserve("a", "b", "c")
    with shelf.store.write() as connection:
        close_requests(connection, batch_id, [0, 2], "succeeded")
        close_requests(connection, batch_id, [], "failed")

    with shelf.store.read() as connection:
        assert count_requests(connection, batch_id) == {"open": 1, "succeeded": 2}
        assert list_requests(connection, batch_id, start=1, limit=1)[0].state == "open"


def test_a_batch_is_found_by_every_name_it_has(shelf: "Shelf") -> None:
    batch_id = shelf.reserve("a")
    shelf.reserve("b")
    with shelf.store.write() as connection:
        update_batch(connection, batch_id, shelf.now, provider_batch_id="batch_%")

        for text in (batch_id, batch_id[:8], f"batch-{batch_id}", "batch_%"):
            assert [batch.id for batch in find_batches(connection, text)] == [batch_id]
        assert find_batches(connection, "%") == []
        assert find_batches(connection, "_") == []


def test_a_cancel_is_noted_once_and_only_while_there_is_something_to_cancel(
    shelf: "Shelf",
) -> None:
    batch_id, ended = shelf.reserve("a"), shelf.reserve("b")
    with shelf.store.write() as connection:
        assert request_cancel(connection, batch_id, shelf.now)
        assert not request_cancel(connection, batch_id, shelf.now)
        update_batch(connection, ended, shelf.now, state="completed")
        assert not request_cancel(connection, ended, shelf.now)


def test_a_completion_is_claimed_by_exactly_one_until_it_is_armed_again(shelf: "Shelf") -> None:
    batch_id = shelf.reserve("a")
    workflow_id = f"batch-{batch_id}"
    with shelf.store.write() as connection:
        assert claim(connection, workflow_id, "failed", shelf.now)
        assert not claim(connection, workflow_id, "success", shelf.now)
        assert list_due(connection) == []

        rearm(connection, [batch_id])
        assert [item.workflow_id for item in list_due(connection)] == [workflow_id]
        assert claim(connection, workflow_id, "success", shelf.now)


def test_waiting_requests_and_endings_are_counted_by_model(shelf: "Shelf") -> None:
    ended, waiting = shelf.reserve("a", "b"), shelf.reserve("c")
    later = shelf.now + timedelta(seconds=5)
    with shelf.store.write() as connection:
        values = {"state": "failed", "error_class": QUEUE_FULL, "error": "full", "ended_at": later}
        update_batch(connection, ended, shelf.now, **values)

        model = shelf.target[1:3]
        assert open_requests_of_model(connection, *model) == 1
        assert open_requests_of_model(connection, "groq", "another") == 0
        assert list_endings(connection, *model, shelf.now, later) == [
            (QUEUE_FULL, "full", 2, shelf.now, later)
        ]
        assert list_endings(connection, *model, later, later) == []
        assert list_open_batch_ids(connection) == [waiting]


def test_targets_of_the_oldest_palettes_rise_and_never_fall(shelf: "Shelf") -> None:
    shelf.plan("a", "b", runs=2)
    prompt, provider, model, *_ = shelf.target
    with shelf.store.write() as connection:
        for runs, limit in ((3, 1), (1, None)):
            raise_targets(connection, prompt, [(provider, model)], runs, limit, shelf.now)

    assert [item.seed for item in _due(shelf, 2)] == ["a", "b"]
    assert [item.seed for item in _due(shelf, 3)] == ["a"]
