import json
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grabient_ops.store.changes import since
from grabient_ops.store.failures import excuse_errors, group_errors, list_errors
from grabient_ops.store.responses import (
    StrayLine,
    answered_before,
    count_strays,
    count_successes,
    iterate_responses,
    store_strays,
)
from grabient_ops.store.tables import palette_tags
from grabient_ops.store.targets import Unanswered, list_unanswered

if TYPE_CHECKING:
    from tests.store.conftest import Row, Shelf

NASTY = [
    "凉爽",
    "🌅👩‍👩‍👧",
    "café",
    "cafe\u0301",
    "a\0b",
    "--; DROP TABLE",
    "{}[]\"'\\",
    "\u2028",
    "\u202e",
]


def _stored(shelf: "Shelf") -> "list[Row]":
    with shelf.store.read() as connection:
        query = sa.select(palette_tags).order_by(palette_tags.c.id)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_nasty_text_comes_back_as_it_came(shelf: "Shelf") -> None:
    tags = {"mood": NASTY}
    shelf.respond(shelf.row(tags=tags, response="".join(NASTY), error="".join(NASTY)))

    (row,) = _stored(shelf)
    assert row["tags"] == tags
    assert row["response"].encode() == "".join(NASTY).encode()
    assert row["error"] == row["response"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text()), response=st.text())
def test_any_unicode_comes_back_as_it_came(shelf: "Shelf", words: list[str], response: str) -> None:
    with shelf.store.write() as connection:
        row = shelf.row(tags={"mood": words, "temperature": None}, response=response)
        connection.execute(sa.insert(palette_tags), [row])
        stored = connection.execute(sa.select(palette_tags)).mappings().one()

        assert stored["tags"] == {"mood": words, "temperature": None}
        assert stored["response"].encode() == response.encode()
        connection.rollback()


def test_text_that_is_no_unicode_is_refused_whole_and_spoils_nothing(shelf: "Shelf") -> None:
    # Lone surrogates are replaced where lines are read (providers/_wire.py); none may come here.
    shelf.respond(shelf.row(seed="a"))
    for values in ({"response": "\ud83d"}, {"tags": {"mood": ["\ud83d"]}}):
        with pytest.raises((UnicodeError, TypeError, sa.exc.StatementError)):
            shelf.respond(shelf.row(seed="b"), shelf.row(seed="c", **values))

    assert [row["seed"] for row in _stored(shelf)] == ["a"]


def test_every_attempt_stays_beside_the_answer(shelf: "Shelf") -> None:
    shelf.respond(shelf.row(error_class="unparsable", tags=None))
    shelf.respond(shelf.row(attempt=2))

    assert [(row["attempt"], row["error_class"]) for row in _stored(shelf)] == [
        (1, "unparsable"),
        (2, None),
    ]


def test_the_second_answer_to_one_request_is_set_aside_and_the_rest_is_stored(
    shelf: "Shelf",
) -> None:
    shelf.respond(shelf.row(seed="a", response="first"))
    rows = [
        shelf.row(seed="a", attempt=2, response="second"),
        shelf.row(seed="b"),
        shelf.row(seed="c", error_class="refused"),
    ]

    assert shelf.respond(*rows) == {"a"}
    stored = [(row["seed"], row["attempt"], row["response"]) for row in _stored(shelf)]
    assert stored == [("a", 1, "first"), ("b", 1, "{}"), ("c", 1, "{}")]


def test_a_failure_after_the_answer_is_kept_but_changes_nothing(shelf: "Shelf") -> None:
    shelf.respond(shelf.row())
    assert shelf.respond(shelf.row(attempt=2, error_class="canceled")) == set()

    with shelf.store.read() as connection:
        assert answered_before(connection, palette_tags, shelf.key, ["a", "b"]) == {"a"}
        assert [group.unanswered for group in group_errors(connection)] == [0]


def test_one_attempt_is_never_stored_twice(shelf: "Shelf") -> None:
    shelf.respond(shelf.row(error_class="missing"))

    with pytest.raises(sa.exc.IntegrityError):
        shelf.respond(shelf.row(error_class="missing"))
    assert len(_stored(shelf)) == 1


def test_successes_of_stored_palettes_are_counted_over_the_runs_asked_for(
    shelf: "Shelf",
) -> None:
    shelf.palettes("a", "b", "c")
    shelf.respond(shelf.row(seed="a"), shelf.row(seed="b", error_class="missing"))
    shelf.respond(shelf.row(seed="a", run_number=2), shelf.row(seed="c", run_number=3))
    shelf.respond(shelf.row(seed="removed"))
    model = {name: shelf.key[name] for name in ("provider", "model", "prompt_version")}

    with shelf.store.read() as connection:
        counts = [count_successes(connection, model, runs, None) for runs in (1, 2, 3)]
        assert counts == [1, 2, 3]
        assert count_successes(connection, model, 3, 2) == 2


def test_excused_failures_may_be_asked_again_with_the_next_attempt(shelf: "Shelf") -> None:
    shelf.plan("a", "b", "c")
    shelf.respond(
        shelf.row(seed="a", error_class="refused"),
        shelf.row(seed="b", error_class="truncated"),
        shelf.row(seed="c"),
    )
    with shelf.store.write() as connection:
        assert excuse_errors(connection, shelf.now, error_class="refused", model=None) == 1
        assert excuse_errors(connection, shelf.now, error_class="refused") == 0
        assert since(connection, 0)[-1][1:3] == ("responses", "*")
        due = list_unanswered(connection, shelf.target, 1, 1, 9)

    assert due == [Unanswered("a", 2)]


def test_an_answered_request_is_never_excused(shelf: "Shelf") -> None:
    shelf.respond(shelf.row(error_class="unparsable"))
    shelf.respond(shelf.row(attempt=2))

    with shelf.store.write() as connection:
        assert excuse_errors(connection, shelf.now) == 0


def test_failures_are_listed_in_pages_and_by_column(shelf: "Shelf") -> None:
    shelf.respond(*(shelf.row(seed=seed, error_class="missing") for seed in "abc"))
    shelf.respond(shelf.row(seed="d", error_class="refused"))

    with shelf.store.read() as connection:
        first = list_errors(connection, limit=2)
        rest = list_errors(connection, limit=None, after=first[-1].id)
        refused = list_errors(connection, limit=None, error_class="refused", model=None)
    assert [error.seed for error in first + rest] == list("abcd")
    assert [error.seed for error in refused] == ["d"]


def test_stray_lines_are_kept_verbatim_and_once(shelf: "Shelf") -> None:
    torn = StrayLine("b", "output", 3, "unreadable", "torn", b'{"id": "\xf0\x9f')
    with shelf.store.write() as connection:
        store_strays(connection, [torn], shelf.now)
        store_strays(connection, [torn._replace(reason="again"), torn._replace(line=4)], shelf.now)

        assert count_strays(connection) == count_strays(connection, "b") == {"unreadable": 2}
        assert count_strays(connection, "c") == {}
        raw: Any = connection.execute(sa.text("SELECT raw FROM stray_results LIMIT 1")).scalar()
    assert raw == b'{"id": "\xf0\x9f'


def test_all_texts_are_visited_once_whatever_the_page(shelf: "Shelf") -> None:
    rows = [shelf.row(seed=str(number), response=json.dumps(number)) for number in range(7)]
    shelf.respond(*rows, shelf.row(seed="silent", response=None, error_class="missing"))

    with shelf.store.read() as connection:
        pages = list(iterate_responses(connection, palette_tags, page=3))
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [row.response for page in pages for row in page] == [str(n) for n in range(7)]
