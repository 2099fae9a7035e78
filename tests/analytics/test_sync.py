import json
import random
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grabient_ops.analytics.facts import normalise
from grabient_ops.analytics.manifest import read_manifest
from grabient_ops.analytics.sync import sync
from grabient_ops.analytics.warehouse import EmptyLakeError, open_warehouse
from grabient_ops.errors import StoreError
from grabient_ops.store.changes import announce
from grabient_ops.store.failures import excuse_errors
from grabient_ops.store.tables import changes, palette_tags
from grabient_ops.tagging.vocabulary import FIELDS, LIST_FIELDS

if TYPE_CHECKING:
    from tests.analytics.conftest import Home

HOSTILE = [
    "凉",
    "purple'],\n \"temperature",
    "🌅👩‍👩‍👧",
    "café",
    "cafe\u0301",
    "שקט",
    "\u202eabc",
    "a\0b",
]
WORDS = st.sampled_from(HOSTILE) | st.text(max_size=8)
LISTS = st.lists(WORDS, max_size=4)
ANSWERS = st.fixed_dictionaries(
    {field: LISTS if field in LIST_FIELDS else st.none() | WORDS for field in FIELDS}
)


def _tags(home: "Home") -> list[tuple[Any, ...]]:
    with open_warehouse(home.lake) as warehouse:
        query = "SELECT seed, category, tag, given FROM votes ORDER BY ALL"
        return warehouse.connection.execute(query).fetchall()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(ANSWERS, min_size=1, max_size=5))
def test_the_lake_holds_what_counting_the_answers_by_hand_gives(
    home: "Home", answers: list[dict[str, Any]]
) -> None:
    home.delete(range(10))
    home.put(*(home.row(number, tags=tags) for number, tags in enumerate(answers)))
    home.sync()

    expected = {
        (f"seed-{number}", field, normalise(word))
        for number, tags in enumerate(answers)
        for field, value in tags.items()
        for word in (value if isinstance(value, list) else [value or ""])
        if normalise(word)
    }
    assert {row[:3] for row in _tags(home)} == expected
    assert len(_tags(home)) == len(expected)


def test_hostile_texts_come_out_whole(home: "Home") -> None:
    tags = [*HOSTILE, "x" * 100_000]
    text = "".join(HOSTILE)
    home.put(
        home.row(1, seed=text, model=text, batch_id="b'\"", tags={"mood": tags}, response=text)
    )
    home.sync()

    with open_warehouse(home.lake) as warehouse:
        ((seed, model, batch, response),) = warehouse.connection.execute(
            "SELECT seed, model, batch_id, response FROM answers"
        ).fetchall()
    assert (seed, model, batch, response) == (text, text, "b'\"", text)
    # "café" is there in two spellings that count as one.
    assert {row[3] for row in _tags(home)} == {*tags} - {"cafe\u0301"}


@pytest.mark.parametrize(
    "cell", ["[]", "null", "7", '{"mood": [1, null, ["x"], {"a": "b"}]}', '{"mood": "x"}']
)
def test_an_answer_without_tags_counts_as_an_answer(home: "Home", cell: str) -> None:
    _expect_no_tags(home, cell)


@pytest.mark.parametrize("cell", ["", "{"])
def test_on_sqlite_so_does_an_answer_whose_cell_is_broken(sqlite_home: "Home", cell: str) -> None:
    _expect_no_tags(sqlite_home, cell)


def _expect_no_tags(home: "Home", cell: str) -> None:
    home.put(home.row(1), home.row(2, tags=None, error_class="refused", error="no"))
    with home.store.write() as connection:
        connection.execute(
            sa.text("UPDATE palette_tags SET tags = :cell WHERE id = 1"), {"cell": cell}
        )
    home.sync()

    with open_warehouse(home.lake) as warehouse:
        query = "SELECT response_id, ok, error_class, error FROM responses ORDER BY 1"
        rows = warehouse.connection.execute(query).fetchall()
    assert rows == [(1, True, None, None), (2, False, "refused", "no")]
    assert _tags(home) == []


def test_every_column_arrives_as_it_was_stored(home: "Home") -> None:
    row = home.row(
        2**40, error_class="truncated", error="late", run_number=70_000,
        input_tokens=2**31 - 1, source="d1",
    )  # fmt: skip
    home.put(row)
    home.sync()

    with open_warehouse(home.lake) as warehouse:
        result = warehouse.connection.execute("FROM answers")
        names = [column[0] for column in result.description]
        (values,) = result.fetchall()
    shown = dict(zip(names, values, strict=True))
    assert shown.pop("response_id") == row["id"]
    assert shown.pop("ok") is False
    assert shown.pop("created_at") == row["created_at"].replace(tzinfo=None)
    assert shown == {name: row[name] for name in shown}
    assert len(shown) == 18


def test_text_that_is_no_utf8_is_no_reason_to_stop(home: "Home") -> None:
    home.put(home.row(1), home.row(2))
    with home.store.write() as connection:
        broken = "UPDATE palette_tags SET response = CAST(x'61ff62' AS TEXT) WHERE id = 1"
        connection.execute(sa.text(broken))
    home.sync()

    assert [row[0] for row in home.contents()[0]] == [1, 2]


def test_nothing_synced_is_told_in_a_sentence(home: "Home") -> None:
    with pytest.raises(EmptyLakeError, match="grabient-ops analytics sync"):
        open_warehouse(home.lake)


def test_an_empty_store_gives_empty_tables(home: "Home") -> None:
    assert home.sync().answers == 0
    assert home.contents() == ([], [])


@pytest.mark.parametrize("url", ["sqlite:///{}/nowhere.sqlite", "sqlite:///{}", "nonsense"])
def test_a_store_that_cannot_be_read_is_told_in_a_sentence(home: "Home", url: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be read|no database URL"):
        sync(home.lake, url.format(home.folder))


def test_only_changed_batches_are_read_again(home: "Home") -> None:
    home.put(*(home.row(number, batch_id=f"b{number % 3}") for number in range(30)))
    assert (home.sync().answers, home.sync().answers) == (30, 0)

    home.put(home.row(100, batch_id="b1"))
    synced = home.sync()
    assert (synced.answers, synced.batches) == (11, 1)
    assert home.contents() == home.rebuilt()


def test_a_sync_without_news_publishes_no_generation(home: "Home") -> None:
    home.put(home.row(1))
    first, before = home.sync(), read_manifest(home.lake)
    with home.store.write() as connection:
        announce(connection, "palettes", ["*"], home.row(1)["created_at"])

    assert home.sync().generation == first.generation
    after = read_manifest(home.lake)
    assert before is not None
    assert after is not None
    assert after.watermark != before.watermark


def test_excused_errors_change_nothing_in_the_lake(home: "Home") -> None:
    home.put(home.row(1, tags=None, error_class="refused"))
    first = home.sync()
    with home.store.write() as connection:
        excuse_errors(connection, home.row(1)["created_at"])

    assert home.sync().generation == first.generation


def test_on_sqlite_another_store_behind_the_same_name_is_read_from_the_start(
    sqlite_home: "Home",
) -> None:
    home = sqlite_home
    home.put(home.row(1, batch_id="a"))
    home.sync()
    with home.store.write() as connection:
        connection.execute(sa.delete(palette_tags))
        later = {"at": home.row(1)["created_at"].replace(year=2027)}
        connection.execute(sa.update(changes).values(**later))
        connection.execute(sa.insert(palette_tags), [home.row(7, batch_id="z")])

    assert home.sync().batches is None
    assert [row[0] for row in home.contents()[0]] == [7]


def test_on_sqlite_an_older_copy_of_the_store_is_read_from_the_start(sqlite_home: "Home") -> None:
    home = sqlite_home
    home.put(home.row(1))
    home.put(home.row(2, batch_id="lost"))
    home.sync()
    with home.store.write() as connection:
        connection.execute(sa.delete(palette_tags).where(palette_tags.c.id == 2))
        connection.execute(sa.delete(changes).where(changes.c.seq == 2))

    assert home.sync().batches is None
    assert [row[0] for row in home.contents()[0]] == [1]


@pytest.mark.parametrize("seed", range(4))
def test_many_small_syncs_equal_one_rebuild(home: "Home", seed: int) -> None:
    chance = random.Random(seed)
    for step in range(40):
        _do_something(home, chance, step)
        if chance.random() < 0.6:
            home.sync()
    home.sync()

    assert home.contents() == home.rebuilt()
    manifest = read_manifest(home.lake)
    assert manifest is not None
    assert len(manifest.segments) < 25


def _do_something(home: "Home", chance: random.Random, step: int) -> None:
    batch = f"b{chance.randrange(12)}"
    match chance.choice(["put", "put", "change", "reparse", "delete"]):
        case "put":
            ids = range(step * 1000, step * 1000 + chance.randrange(1, 30))
            words = [{"mood": [f"Tag {chance.randrange(20)}", "凉"]} for _ in ids]
            home.put(
                *(
                    home.row(i, batch_id=batch, tags=tags)
                    for i, tags in zip(ids, words, strict=True)
                )
            )
        case "change":
            home.change(batch, tags={"style": [f"changed {step}"]}, error_class=None)
        case "reparse":
            home.change(batch, tags=None, error_class="unparsable")
        case _:
            home.delete(range(chance.randrange(step + 1) * 1000, step * 1000, 3))


def test_progress_is_told(home: "Home") -> None:
    rows = [home.row(number) for number in range(10_000)]
    home.put(*rows)
    told: list[int] = []
    home.sync(on_progress=told.append)

    assert told == [10_000]


def test_broken_json_in_the_manifest_is_mended_by_a_rebuild(home: "Home") -> None:
    home.put(home.row(1))
    home.sync()
    expected = home.contents()
    (home.lake / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(StoreError, match="--rebuild"):
        home.sync()

    home.sync(rebuild=True)
    assert home.contents() == expected
