import json
from typing import TYPE_CHECKING, Any

import pytest

from grabient_ops.tagging.answers import parse_answer

if TYPE_CHECKING:
    from tests.cli.conftest import Ops, Shelf

ANSWER = json.dumps(
    {
        "mood": ["calm", "凉"], "style": ["flat"], "dominant_colors": ["blue"], "harmony": [],
        "temperature": "cool", "contrast": "low", "brightness": "light", "saturation": "muted",
        "seasonal": ["winter"], "associations": ["sea"],
    }
)  # fmt: skip
TAGS = parse_answer(ANSWER).tags
FINE: dict[str, Any] = {"response": ANSWER, "error_class": None, "error": None, "tags": TAGS}


def counts(**given: int) -> dict[str, int]:
    return {"read": 0, "rescued": 0, "lost": 0, "changed": 0, "unchanged": 0, **given}


@pytest.fixture
def old(shelf: "Shelf") -> None:
    """What an older parser has left: one to rescue, one to change, one it read too well, two fine.

    A failure without a text is none of the parser's business.
    """
    shelf.respond("rescued", response=f"Sure!\n{ANSWER}", batch_id="b1")
    shelf.respond("changed", **{**FINE, "tags": {"mood": ["calm"]}}, batch_id="b2")
    shelf.respond("lost", **{**FINE, "response": "nonsense"}, batch_id="b3")
    shelf.respond("fine", **FINE)
    shelf.respond("still bad")
    shelf.respond("expired", response=None, error_class="expired")


@pytest.mark.usefixtures("old")
def test_a_better_parser_rescues_and_changes_but_loses_nothing(ops: "Ops", shelf: "Shelf") -> None:
    before = shelf.answers()

    ran = ops("reparse", "--json")

    after = shelf.answers()
    assert ran.json() == counts(read=5, rescued=1, lost=1, changed=1, unchanged=2)
    assert [row["response"] for row in after] == [row["response"] for row in before]
    assert [row["tags"] for row in after[:3]] == [TAGS, TAGS, TAGS]
    assert [row["error_class"] for row in after] == [
        None,
        None,
        None,
        None,
        "unparsable",
        "expired",
    ]
    assert after[2:] == before[2:]
    assert shelf.announced("responses") == ["b1", "b2"]


@pytest.mark.usefixtures("old")
def test_reparsing_again_changes_nothing(ops: "Ops", shelf: "Shelf") -> None:
    ops("reparse")
    before = shelf.answers()

    assert ops("reparse", "--json").json() == counts(read=5, lost=1, unchanged=4)
    assert shelf.answers() == before


@pytest.mark.usefixtures("old")
def test_a_dry_run_counts_the_same_and_writes_nothing(ops: "Ops", shelf: "Shelf") -> None:
    before = shelf.answers()

    ran = ops("reparse", "--dry-run", "--json")

    assert ran.json() == counts(read=5, rescued=1, lost=1, changed=1, unchanged=2)
    assert shelf.answers() == before
    assert shelf.announced("responses") == []


@pytest.mark.usefixtures("old")
def test_losses_are_stored_when_allowed(ops: "Ops", shelf: "Shelf") -> None:
    ops("reparse", "--allow-loss")

    lost = shelf.answers()[2]
    assert (lost["error_class"], lost["tags"], lost["response"]) == ("unparsable", None, "nonsense")


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_a_request_keeps_the_answer_that_it_has(
    ops: "Ops", shelf: "Shelf", option: list[str]
) -> None:
    shelf.respond("a", response=ANSWER)
    shelf.respond("a", attempt=2, **FINE)

    assert ops("reparse", *option, "--json").json() == counts(read=2, unchanged=2)
    assert [row["error_class"] for row in shelf.answers()] == ["unparsable", None]


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_of_two_failures_of_one_request_only_the_first_is_rescued(
    ops: "Ops", shelf: "Shelf", option: list[str]
) -> None:
    shelf.respond("a", response=ANSWER)
    shelf.respond("a", attempt=2, response=ANSWER)

    assert ops("reparse", *option, "--json").json() == counts(read=2, rescued=1, unchanged=1)


def test_many_pages_are_read(ops: "Ops", shelf: "Shelf") -> None:
    shelf.respond(*map(str, range(4100)), response=ANSWER)

    assert ops("reparse", "--json").json() == counts(read=4100, rescued=4100)


def test_people_read_one_line(ops: "Ops") -> None:
    assert ops("reparse").out == "0 answers read: 0 rescued, 0 changed, 0 unchanged\n"
