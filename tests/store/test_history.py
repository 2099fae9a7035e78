"""Pages of batches and of failures, as people who look back are shown them."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from grabient_ops.store.batches import update_batch
from grabient_ops.store.error_pages import EXCERPT, browse_errors
from grabient_ops.store.failures import load_error
from grabient_ops.store.history import (
    BatchFilter,
    Outcomes,
    browse_batches,
    count_outcomes,
    list_asked_models,
)
from grabient_ops.store.requests import close_requests

if TYPE_CHECKING:
    from tests.store.conftest import Shelf

ALL = BatchFilter()


def _reserve(shelf: "Shelf", count: int) -> list[str]:
    """Reserve batches, two at each moment; return their ids, newest first."""
    ids = []
    for number in range(count):
        batch_id = shelf.reserve(f"seed-{number}")
        with shelf.store.write() as connection:
            at = shelf.now + timedelta(minutes=number // 2)
            update_batch(connection, batch_id, shelf.now, created_at=at)
        ids.append((-(number // 2), batch_id))
    return [batch_id for _, batch_id in sorted(ids)]


def test_pages_of_batches_miss_none_and_repeat_none(shelf: "Shelf") -> None:
    ids = _reserve(shelf, 7)
    seen: list[str] = []
    with shelf.store.read() as connection:
        page = browse_batches(connection, 3, ALL)
        seen += [batch.id for batch in page.batches]
        while page.has_older:
            page = browse_batches(connection, 3, ALL, older_than=seen[-1])
            seen += [batch.id for batch in page.batches]

    assert seen == ids


def test_the_page_before_is_the_one_that_was_left(shelf: "Shelf") -> None:
    ids = _reserve(shelf, 7)
    with shelf.store.read() as connection:
        second = browse_batches(connection, 3, ALL, older_than=ids[2])
        first = browse_batches(connection, 3, ALL, newer_than=second.batches[0].id)
        middle = browse_batches(connection, 2, ALL, newer_than=ids[4])

    assert [batch.id for batch in first.batches] == ids[:3]
    assert (first.has_newer, first.has_older) == (False, True)
    assert [batch.id for batch in middle.batches] == ids[2:4]
    assert (middle.has_newer, middle.has_older) == (True, True)


def test_a_neighbour_that_is_gone_leads_to_the_top(shelf: "Shelf") -> None:
    ids = _reserve(shelf, 2)
    with shelf.store.read() as connection:
        page = browse_batches(connection, 3, ALL, older_than="gone")

    assert [batch.id for batch in page.batches] == ids
    assert not page.has_newer


def test_outcomes_of_batches_are_counted(shelf: "Shelf") -> None:
    batch_id = shelf.reserve("a", "b", "c", "d")
    with shelf.store.write() as connection:
        close_requests(connection, batch_id, [0, 1], "succeeded")
        close_requests(connection, batch_id, [2], "missing")
    with shelf.store.read() as connection:
        found = count_outcomes(connection, [batch_id, "unknown"])
        assert list_asked_models(connection) == [shelf.target[1:3]]

    assert found == {batch_id: Outcomes(2, 1), "unknown": Outcomes()}


def test_pages_of_failures_miss_none_and_repeat_none(shelf: "Shelf") -> None:
    kinds = ["unparsable", "refused", "expired"]
    shelf.respond(
        *(shelf.row(seed=f"s{n}", error_class=kinds[n % 3], tags=None) for n in range(10)),
        shelf.row(seed="good"),
    )
    with shelf.store.read() as connection:
        first = browse_errors(connection, "tagging", 4)
        second = browse_errors(connection, "tagging", 4, older_than=first.errors[-1].id)
        third = browse_errors(connection, "tagging", 4, older_than=second.errors[-1].id)
        back = browse_errors(connection, "tagging", 4, newer_than=second.errors[0].id)
        refused = browse_errors(connection, "tagging", 4, error_class="refused")
    ids = [error.id for page in (first, second, third) for error in page.errors]

    assert len(ids) == 10
    assert ids == sorted(ids, reverse=True)
    assert back.errors == first.errors
    assert (first.has_newer, first.has_older) == (False, True)
    assert (third.has_newer, third.has_older) == (True, False)
    assert {error.error_class for error in refused.errors} == {"refused"}


@pytest.mark.parametrize("length", [0, EXCERPT, EXCERPT + 1, 100_000])
def test_long_texts_are_cut_and_their_length_is_told(shelf: "Shelf", length: int) -> None:
    text = "ü" * length
    shelf.respond(shelf.row(tags=None, error_class="unparsable", error=text or None, response=text))
    with shelf.store.read() as connection:
        [error] = browse_errors(connection, "tagging", 1).errors
        whole = load_error(connection, "tagging", error.id)

    assert error.response == error.error == text[:EXCERPT]
    assert error.response_length == error.error_length == length
    assert whole is not None
    assert whole.response == text


def test_an_answer_is_no_failure(shelf: "Shelf") -> None:
    shelf.respond(shelf.row())
    with shelf.store.read() as connection:
        assert load_error(connection, "tagging", 1) is None
        assert browse_errors(connection, "tagging", 5).errors == []
