from typing import TYPE_CHECKING

import pytest

from grabient_ops.store.requests import close_requests
from grabient_ops.store.responses import StrayLine, store_strays

if TYPE_CHECKING:
    from tests.cli.conftest import Ops, Shelf


def test_list_filters_by_state_and_provider(ops: "Ops", shelf: "Shelf") -> None:
    waiting = shelf.batch("a", state="waiting")
    shelf.batch("b", state="completed")

    assert len(ops("batches", "list", "--json").json()) == 2
    (row,) = ops("batches", "list", "--state", "waiting", "--provider", "groq", "--json").json()
    assert (row["id"], row["state"], row["request_count"]) == (waiting, "waiting", 1)
    assert ops("batches", "list", "--provider", "openai", "--json").json() == []
    assert waiting in ops("batches", "list").out


@pytest.mark.parametrize("option", ["--state", "--provider"])
def test_an_unknown_state_or_provider_is_wrong_usage(ops: "Ops", option: str) -> None:
    ran = ops("batches", "list", option, "sleeping")

    assert ran.code == 2
    assert "'sleeping' is none of" in ran.err


def test_show_counts_requests_by_state_and_stray_lines(ops: "Ops", shelf: "Shelf") -> None:
    id_ = shelf.batch("a", "b", "c", provider_batch_id="batch_xyz", error="late")
    with shelf.store.write() as connection:
        close_requests(connection, id_, [0, 1], "succeeded")
        stray = StrayLine(id_, "output", 3, "duplicate", "twice", b"{}")
        store_strays(connection, [stray], shelf.now)

    for word in (id_, id_[:8], f"batch-{id_}", "batch_xyz"):
        shown = ops("batches", "show", word, "--json").json()
        assert shown["id"] == id_
        assert shown["error"] == "late"
        assert shown["requests"] == {"open": 1, "succeeded": 2}
        assert shown["strays"] == {"duplicate": 1}
    assert "succeeded 2" in ops("batches", "show", id_).out


@pytest.mark.parametrize(("word", "what"), [("", "several batches begin"), ("zz9", "no batch")])
def test_a_word_that_means_no_single_batch_is_refused_in_one_line(
    ops: "Ops", shelf: "Shelf", word: str, what: str
) -> None:
    shelf.batch("a")
    shelf.batch("b")

    ran = ops("batches", "show", word)

    assert ran.code == 1
    assert what in ran.err
    assert ran.err.count("\n") == 1


def test_cancel_is_asked_for_and_the_worker_sees_it(ops: "Ops", shelf: "Shelf") -> None:
    id_ = shelf.batch("a", state="waiting")

    ran = ops("batches", "cancel", id_[:8])

    assert ran.code == 0
    assert "what was finished is still collected" in ran.out
    assert ops("batches", "show", id_, "--json").json()["cancel_requested_at"]
    assert shelf.announced("batches")[-1] == id_


def test_cancel_of_an_ended_batch_fails_and_the_others_are_cancelled(
    ops: "Ops", shelf: "Shelf"
) -> None:
    ended = shelf.batch("a", state="completed", ended_at=shelf.now)
    waiting = shelf.batch("b", state="waiting")

    ran = ops("batches", "cancel", ended, waiting, "--json")

    assert ran.code == 1
    assert [row["batch"] for row in ran.json()] == [waiting]
    assert ran.err == f"error: batch {ended} has ended: completed\n"


def test_cancel_with_one_unknown_word_touches_nothing(ops: "Ops", shelf: "Shelf") -> None:
    id_ = shelf.batch("a", state="waiting")

    assert ops("batches", "cancel", id_, "zz9").code == 1
    assert ops("batches", "show", id_, "--json").json()["cancel_requested_at"] is None
