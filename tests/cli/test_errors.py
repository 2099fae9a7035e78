from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Ops, Shelf

MODEL = "groq/openai/gpt-oss-20b"


@pytest.fixture
def failures(shelf: "Shelf") -> None:
    """Two failures of `a`, which was answered in the end, one of `b` and one of `c`."""
    shelf.plan("a", "b", "c")
    shelf.respond("a")
    shelf.respond("a", attempt=2)
    shelf.respond("a", attempt=3, error_class=None, error=None, tags={"mood": []}, response="{}")
    shelf.respond("b", response="\x1b[31mred\nline")
    shelf.respond("c", error_class="refused", response=None, error="no")


@pytest.mark.usefixtures("failures")
@pytest.mark.parametrize("words", [["errors"], ["errors", "list"]])
def test_failures_are_counted_by_class_and_model(ops: "Ops", words: list[str]) -> None:
    rows = [line.split() for line in ops(*words).out.splitlines()]

    assert ["tagging", "unparsable", MODEL, "3", "1"] in rows
    assert ["tagging", "refused", MODEL, "1", "1"] in rows


@pytest.mark.usefixtures("failures")
@pytest.mark.parametrize(
    ("options", "seeds"),
    [
        ([], ["a", "a", "b", "c"]),
        (["--class", "refused"], ["c"]),
        (["--model", MODEL], ["a", "a", "b", "c"]),
        (["--model", "openai/gpt-oss-20b", "--provider", "groq"], ["a", "a", "b", "c"]),
        (["--model", "gone"], []),
        (["--run", "2"], []),
        (["--limit", "1"], ["a"]),
        (["--after", "2", "--limit", "1"], ["b"]),
    ],
)
def test_rows_can_be_filtered_and_paged(ops: "Ops", options: list[str], seeds: list[str]) -> None:
    assert [row["seed"] for row in ops("errors", *options, "--json").json()] == seeds


@pytest.mark.usefixtures("failures")
def test_a_stage_without_failures_is_said_to_have_none(ops: "Ops") -> None:
    ran = ops("errors", "--class", "refused")

    assert ran.code == 0
    assert f"refused: {MODEL}, run 1" in ran.out
    assert ran.err.splitlines() == ["1 failures of tagging", "0 failures of refinement"]


def test_failures_cannot_be_followed_from_before_the_first(ops: "Ops") -> None:
    assert ops("errors", "--after", "-1").code == 2


@pytest.mark.usefixtures("failures")
def test_rows_hold_the_raw_text_and_people_see_no_control_characters(ops: "Ops") -> None:
    row = ops("errors", "--json").json()[2]
    shown = ops("errors", "--class", "unparsable").out

    assert row["response"] == "\x1b[31mred\nline"
    assert "\x1b" not in shown
    assert "  | \\x1b[31mred\n  | line\n" in shown


def test_failures_of_one_batch_are_found_by_its_beginning(ops: "Ops", shelf: "Shelf") -> None:
    id_ = shelf.batch("a")
    shelf.respond("a", batch_id=id_)
    shelf.respond("b")

    assert [r["seed"] for r in ops("errors", "--batch", id_[:6], "--json").json()] == ["a"]


@pytest.mark.usefixtures("failures")
def test_retry_excuses_failures_of_unanswered_requests_only(ops: "Ops", shelf: "Shelf") -> None:
    ran = ops("errors", "retry", "--class", "unparsable", "--json")

    assert ran.json() == {"requests": 1}
    assert [row["seed"] for row in shelf.answers() if row["excused"]] == ["b"]
    assert shelf.announced("responses") == ["*"]


@pytest.mark.usefixtures("failures")
def test_after_a_retry_the_requests_may_be_asked_again(ops: "Ops", shelf: "Shelf") -> None:
    assert shelf.askable() == []

    assert ops("errors", "retry", "--json").json() == {"requests": 2}

    assert shelf.askable() == ["b", "c"]
    assert ops("errors", "retry", "--json").json() == {"requests": 0}


@pytest.mark.parametrize(
    "words", [["errors", "--class", "odd"], ["errors", "retry", "--provider", "x"], ["errors", "x"]]
)
def test_unknown_words_are_wrong_usage(ops: "Ops", words: list[str]) -> None:
    assert ops(*words).code == 2
