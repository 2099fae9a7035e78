from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from grabient_ops.store.engine import Store
from grabient_ops.store.imports import (
    SourcePalette,
    Stored,
    store_answers,
    store_batches,
    store_palettes,
    store_prompt,
)
from grabient_ops.store.palettes import NewPalette, get_palette
from grabient_ops.store.prompts import PromptVersion, get_prompt
from grabient_ops.store.tables import imported_batches, palette_tags

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Row = dict[str, Any]


def row(source_id: str, **values: object) -> Row:
    """A success of Convex, unless told."""
    return {
        "seed": "a", "provider": "openai", "model": "m", "model_returned": None, "run_number": 1,
        "prompt_version": "old", "batch_id": "convex-1", "tags": {"mood": ["calm"]},
        "response": "{}", "error_class": None, "error": None, "excused": False,
        "finish_reason": None, "parse_stage": None, "parser_version": None, "ambiguous": None,
        "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "reasoning_tokens": 0,
        "cost": None, "created_at": NOW, "source": "convex", "source_id": source_id,
        "source_digest": "1", "source_extra": None, **values,
    }  # fmt: skip


def failure(source_id: str, **values: object) -> Row:
    return row(source_id, **{"error_class": "unparsable", "tags": None, **values})


@pytest.fixture
def connection(store: Store) -> Iterator[Connection]:
    with store.write() as connection:
        yield connection


def put(connection: Connection, *rows: Row, source: str = "convex") -> Stored:
    return store_answers(connection, palette_tags, source, rows)


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    columns = [palette_tags.c[name] for name in ("source_id", "run_number", "attempt")]
    return [tuple(found) for found in connection.execute(sa.select(*columns).order_by(columns[0]))]


def test_rows_that_come_again_change_nothing(connection: Connection) -> None:
    rows = [row("1"), failure("2", run_number=2), row("3", run_number=3)]

    first = put(connection, *rows)
    before = stored(connection)
    again = put(connection, *rows)

    assert first[:4] == (3, 0, 0, 0)
    assert again == Stored(already_there=3)
    assert stored(connection) == before


def test_a_row_that_has_changed_there_is_replaced(connection: Connection) -> None:
    put(connection, failure("1"), row("2", run_number=2))

    changed = row("1", source_digest="2", batch_id="convex-2")

    assert put(connection, changed, row("2", run_number=2))[:4] == (0, 1, 1, 0)
    assert stored(connection) == [("1", 1, 1), ("2", 2, 1)]
    found = connection.execute(sa.select(palette_tags.c.tags).filter_by(source_id="1")).scalar()
    assert found == {"mood": ["calm"]}


def test_the_batches_of_replaced_rows_are_named_too(connection: Connection) -> None:
    put(connection, row("1"))

    changed = put(connection, row("1", source_digest="2", batch_id="convex-2"))

    assert changed.batches == {"convex-1", "convex-2"}


def test_failures_and_their_success_are_attempts_of_one_request(connection: Connection) -> None:
    put(connection, failure("1"), failure("2"))
    put(connection, row("3"))

    assert stored(connection) == [("1", 1, 1), ("2", 1, 2), ("3", 1, 3)]


def test_a_second_success_goes_to_the_next_free_run(connection: Connection) -> None:
    put(connection, row("1"), row("2", run_number=2))

    done = put(connection, row("3"), row("4"), row("5", run_number=3), row("6", seed="b"))

    assert done.moved == 2
    assert stored(connection) == [
        ("1", 1, 1), ("2", 2, 1), ("3", 4, 1), ("4", 5, 1), ("5", 3, 1), ("6", 1, 1),
    ]  # fmt: skip


def test_each_source_has_runs_of_its_own(connection: Connection) -> None:
    put(connection, row("1"))
    own = {**row("x"), "source": "own", "source_id": None, "attempt": 1}
    connection.execute(sa.insert(palette_tags), [own])

    done = put(connection, row("1", source="d1"), source="d1")

    assert done[:4] == (1, 0, 0, 0)
    assert [found[1:] for found in stored(connection)] == [(1, 1)] * 3


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 3), st.sampled_from("ab"), st.booleans()),
        max_size=25,
    ),
    st.integers(1, 7),
)
def test_every_row_is_kept_once_however_it_is_cut_into_transactions(
    store: Store, items: list[tuple[int, int, str, bool]], size: int
) -> None:
    rows = [
        (row if ok else failure)(str(n), run_number=run, seed=seed)
        for n, (_, run, seed, ok) in enumerate(items)
    ]
    counts: list[Stored] = []
    with store.write() as connection:
        connection.execute(sa.delete(palette_tags))
        for _ in range(2):
            chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
            counts += [put(connection, *chunk) for chunk in chunks]
        found = [source_id for source_id, *_ in stored(connection)]

    assert sorted(found) == sorted(str(n) for n in range(len(rows)))
    assert sum(count.imported for count in counts) == len(rows)
    assert sum(count.already_there for count in counts) == len(rows)


def palette(**attributes: object) -> SourcePalette:
    return SourcePalette(NewPalette("a", "aligned", "k", "convex"), attributes, NOW)


def test_a_palette_keeps_what_each_source_says(connection: Connection) -> None:
    first = store_palettes(connection, "d1", [palette(likes=2)], NOW)
    again = store_palettes(connection, "d1", [palette(likes=2)], NOW)
    other = store_palettes(connection, "convex", [palette(_id="k1")], NOW)
    later = store_palettes(connection, "d1", [palette(likes=3)], NOW)

    assert [count[:3] for count in (first, again, other, later)] == [
        (1, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 1),
    ]  # fmt: skip
    found = get_palette(connection, "a")
    assert found is not None
    assert found.attributes == {"d1": {"likes": 3}, "convex": {"_id": "k1"}}


def prompt(content: str) -> PromptVersion:
    return PromptVersion("v1", "tagging", content, "a message", NOW)


def test_the_text_of_a_prompt_takes_the_place_of_an_unknown_one(connection: Connection) -> None:
    done = [store_prompt(connection, prompt(text)) for text in ("", "", "text", "text", "other")]

    assert [count[:3] for count in done] == [
        (1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1), (0, 0, 1),
    ]  # fmt: skip
    found = get_prompt(connection, "v1")
    assert found is not None
    assert found.content == "text"


def test_a_version_that_another_one_begins_with_is_found(connection: Connection) -> None:
    for version in ("v10", "v1", "v11"):
        store_prompt(connection, prompt("x")._replace(version=version))

    found = get_prompt(connection, "v1")
    assert found is not None
    assert found.version == "v1"


def test_a_batch_of_the_past_is_kept_as_it_is_now(connection: Connection) -> None:
    batch = {"source": "convex", "source_id": "b", "kind": "tagging", "created_at": NOW}
    done = [
        store_batches(connection, [{**batch, "document": {"status": status}}])
        for status in ("processing", "processing", "completed")
    ]

    assert [count[:3] for count in done] == [(1, 0, 0), (0, 0, 1), (0, 1, 0)]
    documents = connection.execute(sa.select(imported_batches.c.document)).scalars().all()
    assert documents == [{"status": "completed"}]
