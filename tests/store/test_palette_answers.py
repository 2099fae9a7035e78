from typing import TYPE_CHECKING

import sqlalchemy as sa

from grabient_ops.store.palette_answers import (
    answers_about,
    list_asked,
    refinements_about,
    text_beginnings,
    text_of,
)
from grabient_ops.store.tables import palette_tag_refined, palette_tags

if TYPE_CHECKING:
    from tests.store.conftest import Shelf


def _fill(shelf: "Shelf") -> None:
    """Two models in two runs, a failure, and another palette."""
    rows = [
        shelf.row(run_number=1, model="b"),
        shelf.row(run_number=2, model="b", response="longer than that"),
        shelf.row(run_number=2, model="a", tags=None, error_class="missing", response=None),
        shelf.row(run_number=2, model="a", attempt=2),
        shelf.row(seed="other"),
    ]
    with shelf.store.write() as connection:
        connection.execute(sa.insert(palette_tags), rows)


def test_answers_come_by_run_and_model_with_the_length_of_their_texts(shelf: "Shelf") -> None:
    _fill(shelf)
    with shelf.store.read() as connection:
        answers = answers_about(connection, "a")

    assert [(answer.run_number, answer.model, answer.attempt) for answer in answers] == [
        (2, "a", 1), (2, "a", 2), (2, "b", 1), (1, "b", 1),
    ]  # fmt: skip
    assert [answer.characters for answer in answers] == [0, 2, 16, 2]
    assert answers[0].error_class == "missing"


def test_answers_are_chosen_by_what_is_given(shelf: "Shelf") -> None:
    _fill(shelf)
    with shelf.store.read() as connection:
        chosen = answers_about(connection, "a", model="b", run_number=2, prompt_version=None)
        none = answers_about(connection, "a", prompt_version="another")

    assert len(chosen) == 1
    assert none == []


def test_who_was_asked_is_listed_once(shelf: "Shelf") -> None:
    _fill(shelf)
    with shelf.store.read() as connection:
        asked = list_asked(connection, "a")

    assert [(one.model, one.run_number) for one in asked] == [("a", 2), ("b", 1), ("b", 2)]


def test_texts_are_cut_at_characters_not_bytes(shelf: "Shelf") -> None:
    shelf.respond(shelf.row(response="日本語と😀です"))
    with shelf.store.read() as connection:
        (answer,) = answers_about(connection, "a")
        begun = text_beginnings(connection, [answer.id, 999], 5)

    assert answer.characters == 7
    assert begun == {answer.id: "日本語と😀"}


def test_a_text_is_given_only_under_its_own_palette_and_stage(shelf: "Shelf") -> None:
    shelf.respond(shelf.row(response="verbatim\r\n"))
    with shelf.store.read() as connection:
        (answer,) = answers_about(connection, "a")

        assert text_of(connection, "tagging", "a", answer.id) == "verbatim\r\n"
        assert text_of(connection, "tagging", "other", answer.id) is None
        assert text_of(connection, "refinement", "a", answer.id) is None


def test_refinements_come_newest_first(shelf: "Shelf") -> None:
    more = {
        "source_prompt_versions": ["p"], "input": "votes", "dropped": None, "sentence": None,
        "embed_text": None,
    }  # fmt: skip
    rows = [{**shelf.row(run_number=number), **more} for number in range(3)]
    with shelf.store.write() as connection:
        connection.execute(sa.insert(palette_tag_refined), rows)
    with shelf.store.read() as connection:
        found = refinements_about(connection, "a", 2)

    assert [one.run_number for one in found] == [2, 1]
    assert found[0].input == "votes"
