"""What a home holds of a deployment is compared with all that the deployment holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from grabient_ops.errors import ConfigError, InputError
from grabient_ops.importers.convex.stream import ConvexStream
from grabient_ops.pipeline.verifying import TableVerdict, verify
from grabient_ops.store.tables import (
    convex_documents,
    imported_batches,
    palette_tag_refined,
    palette_tags,
    palettes,
    prompt_versions,
)
from tests.importers.conftest import FULL, SEEDS
from tests.importers.conftest import convex_documents as some_documents
from tests.pipeline.test_syncing import OWN, Direct, Legacy, Pair, import_again

ONE_PALETTE = sa.update(palettes).where(palettes.c.seed == SEEDS[0])


@pytest.fixture(params=[Direct, Legacy], ids=["data-sync", "deltas"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A deployment with rows in every table, and a home that has read them all."""
    pair = Pair(tmp_path, request.param)
    for table, rows in some_documents().items():
        for row in rows:
            pair.insert(table, **row)
    pair.catch_up()
    pair.log.change_settings({"sync_page": 2, "snapshot_page": 2, "deltas_page": 2})
    yield pair
    pair.log.close()
    pair.store.close()


def _verify(pair: Pair) -> dict[str, TableVerdict]:
    stream = ConvexStream(pair.http)
    return verify(pair.app.services, stream, pair.url, lambda _: False, lambda _: None)


def _found(pair: Pair) -> dict[str, dict[str, list[str]]]:
    """The examples of the tables where something differs; here they are all of them."""
    verdicts = {table: verdict for table, verdict in _verify(pair).items() if not verdict.is_equal}
    for verdict in verdicts.values():
        for kind, ids in verdict.examples.items():
            assert getattr(verdict, kind) == len(ids)
    return {
        table: {str(kind): ids for kind, ids in verdict.examples.items()}
        for table, verdict in verdicts.items()
    }


def _change(pair: Pair, statement: sa.Update | sa.Delete) -> None:
    with pair.store.write() as connection:
        connection.execute(statement)


def _id(pair: Pair, table: str) -> str:
    return next(entry.id for entry in pair.log.documents() if entry.table == table)


def test_a_whole_mirror_is_equal_in_every_table(filled: Pair) -> None:
    verdicts = _verify(filled)

    assert _found(filled) == {}
    assert {table: verdict.there for table, verdict in verdicts.items()} == {
        "prompt_versions": 1, "palettes": 6, "palette_tags": 3, "palette_tag_refined": 1,
        "tag_batches": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "stored"),
    [
        ("palette_tags", palette_tags),
        ("palette_tag_refined", palette_tag_refined),
        ("tag_batches", imported_batches),
        ("palettes", palettes),
        ("prompt_versions", prompt_versions),
    ],
)
def test_what_is_lost_here_is_missing(filled: Pair, table: str, stored: sa.Table) -> None:
    lost = _id(filled, table)
    key = {"palettes": "seed", "prompt_versions": "version"}.get(table, "source_id")
    value = filled.log.documents()
    (document,) = (entry.document for entry in value if entry.id == lost)
    _change(filled, sa.delete(stored).where(stored.c[key] == document.get(key, lost)))

    assert _found(filled) == {table: {"missing": [lost]}}


@pytest.mark.parametrize(
    ("table", "statement"),
    [
        ("palette_tags", sa.update(palette_tags).values(tags={**FULL, "mood": ["wild"]})),
        ("palette_tags", sa.update(palette_tags).values(source_digest="another")),
        ("palette_tags", sa.update(palette_tags).values(input_tokens=5)),
        ("palette_tag_refined", sa.update(palette_tag_refined).values(embed_text="other")),
        ("tag_batches", sa.update(imported_batches).values(document={"a": 1})),
        ("palettes", ONE_PALETTE.values(attributes={"convex": {"style": "x"}})),
    ],
)
def test_what_says_something_else_here_is_different(
    filled: Pair, table: str, statement: sa.Update
) -> None:
    _change(filled, statement)

    assert {name: list(kinds) for name, kinds in _found(filled).items()} == {table: ["different"]}


def test_what_is_gone_there_without_a_word_is_extra(filled: Pair) -> None:
    """As after a restore there, which the older export says nothing of."""
    answer, palette = _id(filled, "palette_tags"), _id(filled, "palettes")
    for gone in (answer, palette):
        filled.log._db.execute("DELETE FROM log WHERE id = ?", (gone,))
    found = _found(filled)

    assert found == {"palette_tags": {"extra": [answer]}, "palettes": {"extra": [palette]}}


def test_what_the_follower_has_not_read_yet_is_no_difference(filled: Pair) -> None:
    filled.patch(_id(filled, "palette_tags"), tags={**FULL, "mood": ["wild"]})
    filled.answer(7)
    filled.delete(_id(filled, "palettes"))
    verdicts = _verify(filled)

    assert all(verdict.is_equal for verdict in verdicts.values())
    assert (verdicts["palette_tags"].unread, verdicts["palettes"].unread) == (2, 1)
    filled.catch_up()
    assert not any(verdict.unread for verdict in _verify(filled).values())


def test_an_import_there_that_is_not_read_yet_is_no_difference(pair: Pair) -> None:
    pair.answer(1)
    pair.catch_up()
    import_again(pair)

    verdict = _verify(pair)["palette_tags"]
    assert verdict.is_equal
    assert verdict.unread > 0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.log.close()
    pair.store.close()


def test_a_run_that_had_to_move_is_no_difference(pair: Pair) -> None:
    pair.answer(1)
    pair.answer(1)
    pair.catch_up()

    assert _found(pair) == {}


def test_only_the_first_ids_are_told(pair: Pair) -> None:
    ids = sorted(pair.answer(run) for run in range(1, 10))
    pair.catch_up()
    _change(pair, sa.delete(palette_tags))
    verdict = _verify(pair)["palette_tags"]

    assert (verdict.missing, verdict.examples["missing"]) == (9, ids[:5])


def test_nothing_is_mended_and_our_own_rows_are_nobodys_extra(filled: Pair) -> None:
    with filled.store.write() as connection:
        connection.execute(sa.insert(palette_tags), [{**OWN, "seed": SEEDS[1]}])
    _change(filled, sa.update(palette_tags).where(palette_tags.c.run_number == 3).values(error="x"))
    before = _contents(filled)

    assert [*_found(filled)] == ["palette_tags"]
    assert _contents(filled) == before


def _contents(pair: Pair) -> list[Any]:
    with pair.store.read() as connection:
        return [
            connection.execute(sa.select(table).order_by(*table.primary_key)).all()
            for table in (palette_tags, palettes, convex_documents)
        ]


def test_a_home_that_is_not_whole_is_told_so(pair: Pair) -> None:
    with pytest.raises(InputError, match="is not whole yet"):
        _verify(pair)
    for run in range(1, 8):
        pair.answer(run)
    pair.log.change_settings({"sync_page": 2})
    pair.syncer().step()
    with pytest.raises(InputError, match="is not whole yet"):
        _verify(pair)
    pair.catch_up()
    pair.log.expire()
    with pytest.raises(InputError, match="too far behind"):
        _verify(pair)
    pair.url = "https://happy.example"
    with pytest.raises(ConfigError, match="this home follows"):
        _verify(pair)
