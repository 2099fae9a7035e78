"""A home that follows a deployment ends equal to it, whatever happens there and when it asks."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from benchmarks.postgres import store_url
from grabient_ops.app import App
from grabient_ops.errors import ConfigError, NotFoundError, StoreError
from grabient_ops.importers.convex.http import ConvexHttp, RefusedError
from grabient_ops.importers.convex.stream import ConvexStream, Page
from grabient_ops.pipeline.pushing import Pusher
from grabient_ops.pipeline.syncing import Syncer, follows, move
from grabient_ops.sandbox.convex.legacy import document_deltas, list_snapshot
from grabient_ops.sandbox.convex.log import Log
from grabient_ops.sandbox.convex.selection import Selection
from grabient_ops.sandbox.convex.tail import read_cursor, sync_page
from grabient_ops.sandbox.http import ApiError
from grabient_ops.settings import Settings
from grabient_ops.store.changes import latest, since
from grabient_ops.store.tables import (
    convex_documents,
    imported_batches,
    metadata,
    palette_tag_refined,
    palette_tags,
    palettes,
)
from tests.importers.conftest import FULL, SEEDS
from tests.importers.conftest import convex_documents as some_documents

URL = "http://127.0.0.1:3210"
Shape = TypeVar("Shape")


class Direct(ConvexHttp):
    """A deployment without HTTP between."""

    def __init__(self, log: Log) -> None:
        super().__init__(URL, "key", lambda _: True)
        self.log = log

    @override
    def post(self, path: str, body: Mapping[str, Any], shape: type[Shape]) -> Shape:
        try:
            return msgspec.convert(self._answer(path, dict(body)), shape)
        except ApiError as error:
            raise RefusedError(error.message, error.code or "") from error

    def _answer(self, path: str, body: dict[str, Any]) -> object:
        selection = Selection(body["selection"])
        match path:
            case "/api/v1/data/sync":
                return sync_page(self.log, read_cursor(body.get("cursor"), self.log), selection)
            case "/api/list_snapshot":
                return list_snapshot(self.log, body, selection)
            case _:
                return document_deltas(self.log, body, selection)


class Legacy(Direct):
    """One that is too old for `data/sync`."""

    @override
    def post(self, path: str, body: Mapping[str, Any], shape: type[Shape]) -> Shape:
        if path == "/api/v1/data/sync":
            raise NotFoundError("convex", "no such path")
        return super().post(path, body, shape)


class Pair:
    """A deployment and a home that follows it."""

    def __init__(self, folder: Path, kind: type[Direct] = Direct) -> None:
        self.app = App(Settings(home=folder, database_url=store_url(folder)))
        self.store = self.app.store
        self.log = Log(folder / "convex.sqlite")
        self.http = kind(self.log)
        self.url = URL

    def start_over(self) -> None:
        """Forget everything on both sides."""
        for name in ("log", "settings"):
            self.log._db.execute(f"DELETE FROM {name}")  # noqa: S608 - constants
        with self.store.write() as connection:
            for table in metadata.tables.values():
                connection.execute(sa.delete(table))

    def syncer(self, *, dry_run: bool = False) -> Syncer:
        """A follower that has just been started."""
        return Syncer(self.app.services, ConvexStream(self.http), self.url, dry_run=dry_run)

    def catch_up(self) -> Syncer:
        """Read until there is nothing more."""
        syncer = self.syncer()
        while not syncer.step().is_current:
            pass
        return syncer

    def insert(self, table: str, **fields: object) -> str:
        with self.log.transaction() as transaction:
            return transaction.insert(table, fields)

    def answer(self, run: int = 1, seed: str = SEEDS[0], **fields: object) -> str:
        return self.insert("palette_tags", **answer(run, seed), **fields)

    def delete(self, document_id: str) -> None:
        with self.log.transaction() as transaction:
            transaction.delete(document_id)

    def patch(self, document_id: str, **fields: object) -> None:
        with self.log.transaction() as transaction:
            transaction.patch(document_id, fields)

    def column(self, column: sa.Column[Any]) -> list[Any]:
        with self.store.read() as connection:
            return sorted(connection.execute(sa.select(column)).scalars())

    def mirrored(self) -> dict[str, tuple[Any, ...]]:
        columns = [palette_tags.c[name] for name in ("source_id", "seed", "run_number", "tags")]
        with self.store.read() as connection:
            rows = connection.execute(sa.select(*columns)).all()
        return {row[0]: (row[1], row[2], (row[3] or FULL)["mood"]) for row in rows}

    def held(self) -> dict[str, tuple[Any, ...]]:
        return {
            entry.id: (
                entry.document["seed"], entry.document["runNumber"], entry.document["tags"]["mood"],
            )
            for entry in self.log.documents() if entry.table == "palette_tags"
        }  # fmt: skip


def answer(run: int, seed: str = SEEDS[0]) -> dict[str, Any]:
    return {
        "seed": seed, "provider": "openai", "model": "gpt-4o-mini", "runNumber": run,
        "promptVersion": "23862efd2386", "tags": FULL,
    }  # fmt: skip


@pytest.fixture(params=[Direct, Legacy], ids=["data-sync", "deltas"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, request.param)
    yield pair
    pair.log.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.log.close()


def test_what_is_inserted_changed_and_deleted_there_is_so_here(either: Pair) -> None:
    for table, rows in some_documents().items():
        for row in rows:
            either.insert(table, **row)
    either.catch_up()
    assert either.column(palettes.c.seed) == sorted(SEEDS)
    assert len(either.mirrored()) == 3
    assert len(either.column(imported_batches.c.source_id)) == 1

    added = either.answer(7)
    either.patch(added, tags={**FULL, "mood": ["new"]})
    for entry in either.log.documents():
        is_old = entry.table in {"tag_batches", "palette_tag_refined"}
        if is_old or entry.document.get("seed") == SEEDS[1]:
            either.delete(entry.id)
    either.catch_up()

    assert either.mirrored()[added] == (SEEDS[0], 7, ["new"])
    assert either.column(palettes.c.seed) == sorted({*SEEDS} - {SEEDS[1]})
    assert either.column(imported_batches.c.source_id) == []
    assert either.column(palette_tag_refined.c.id) == []


def test_a_page_is_stored_with_its_cursor_or_not_at_all(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.answer()
    syncer = pair.syncer()
    before = contents(pair)

    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("grabient_ops.pipeline.importing.store_answers", fail)
        with pytest.raises(StoreError):
            syncer.step()

    assert contents(pair) == before
    pair.catch_up()
    assert pair.mirrored() == pair.held() != {}


def contents(pair: Pair) -> dict[str, list[Any]]:
    with pair.store.read() as connection:
        return {
            name: list(map(tuple, connection.execute(sa.select(table))))
            for name, table in metadata.tables.items()
        }


def test_when_all_is_read_anew_nothing_is_missing_meanwhile(either: Pair) -> None:
    for run in range(1, 30):
        either.answer(run)
    either.catch_up()
    either.log.change_settings({"sync_page": 5, "snapshot_page": 5, "deltas_page": 5})
    gone = next(iter(either.held()))
    either.delete(gone)
    either.log.expire()
    either.answer(99)

    syncer = either.syncer()
    seen = []
    while not syncer.step().is_current:
        seen.append(len(either.mirrored()))

    assert syncer.restarts == 1
    assert min(seen) >= 28
    assert gone not in either.mirrored()
    assert either.mirrored() == either.held()


def test_answers_that_an_import_there_has_made_anew_keep_their_runs(pair: Pair) -> None:
    for run in (1, 2, 3):
        pair.answer(run)
    pair.catch_up()
    with pair.log.transaction() as transaction:
        transaction.truncate("palette_tags")
        for run in (1, 2, 3):
            transaction.insert("palette_tags", answer(run))
    pair.log.change_settings({"sync_page": 2})
    syncer = pair.catch_up()

    assert pair.mirrored() == pair.held()
    assert syncer.removed["palette_tags"] == 3
    assert syncer.report.total.moved == 0


def test_an_import_in_the_middle_of_a_snapshot_leaves_every_run_where_it_is_there(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Documents are read in the order of their ids: which of them come twice is then certain.
    monkeypatch.setattr("secrets.token_bytes", Random(1).randbytes)
    for run in range(1, 9):
        pair.answer(run)
    pair.log.change_settings({"sync_page": 3})
    syncer = pair.syncer()
    while not (page := syncer.step()).is_current:
        if not page.is_whole and syncer.pages < 4:
            import_again(pair)

    assert syncer.report.total.moved > 0
    assert pair.mirrored() == pair.held()


def test_a_second_answer_takes_its_own_run_when_the_first_is_gone(pair: Pair) -> None:
    first, second = pair.answer(1), pair.answer(1)
    pair.catch_up()
    assert sorted(row[1] for row in pair.mirrored().values()) == [1, 2]
    pair.delete(first)
    pair.catch_up()
    assert pair.mirrored() == pair.held()
    third = pair.answer(1)
    pair.catch_up()
    pair.patch(second, runNumber=7)
    pair.catch_up()

    assert pair.mirrored()[third][1] == 1
    assert pair.mirrored() == pair.held()


def test_an_import_that_the_older_export_does_not_see_is_seen_when_asked_again(
    tmp_path: Path,
) -> None:
    pair = Pair(tmp_path, Legacy)
    pair.answer(1)
    pair.catch_up()
    with pair.log.transaction() as transaction:
        transaction.truncate("palette_tags")
        transaction.insert("palette_tags", answer(5))
    assert pair.catch_up().changes == 0

    syncer = pair.syncer()
    syncer.begin_again()
    while not syncer.step().is_current:
        pass

    assert pair.mirrored() == pair.held()
    pair.log.close()


def test_an_older_version_that_comes_late_changes_nothing(pair: Pair) -> None:
    document = pair.answer(1)
    late = pair.syncer()._stream.page(None)
    pair.patch(document, runNumber=2)
    pair.catch_up()
    other = pair.syncer()
    other._stream = Pages(late)
    other.step()

    assert [row[1] for row in pair.mirrored().values()] == [2]


class Pages:
    """Pages that were read before."""

    def __init__(self, *pages: Page) -> None:
        self._pages = list(pages)

    def page(self, _cursor: str | None) -> Page:
        return self._pages.pop(0)


def test_a_row_that_becomes_unusable_there_goes_and_is_counted(pair: Pair) -> None:
    document = pair.answer(1)
    palette = pair.insert("palettes", seed=SEEDS[1])
    pair.catch_up()
    pair.patch(document, seed="no seed")
    pair.patch(palette, seed=SEEDS[2])
    syncer = pair.catch_up()

    assert pair.mirrored() == {}
    assert pair.column(palettes.c.seed) == [SEEDS[2]]
    assert [group["count"] for group in syncer.report.refusals()] == [1]


def test_a_palette_that_somebody_else_needs_stays(pair: Pair) -> None:
    twice = [pair.insert("palettes", seed=SEEDS[0], style=style) for style in ("a", "b")]
    wanted = pair.insert("palettes", seed=SEEDS[1])
    pair.catch_up()
    with pair.store.write() as connection:
        own = {**OWN, "seed": SEEDS[1]}
        connection.execute(sa.insert(palette_tags), [own])

    pair.delete(twice[0])
    pair.delete(wanted)
    pair.catch_up()
    assert pair.column(palettes.c.seed) == sorted(SEEDS[:2])
    with pair.store.read() as connection:
        said = dict(connection.execute(sa.select(palettes.c.seed, palettes.c.attributes)).all())
    assert said[SEEDS[1]] is None

    pair.delete(twice[1])
    pair.catch_up()
    assert pair.column(palettes.c.seed) == [SEEDS[1]]


OWN = {
    "seed": SEEDS[0], "provider": "anthropic", "model": "claude", "prompt_version": "p",
    "run_number": 1, "attempt": 1, "batch_id": "b", "tags": FULL, "response": "{}",
    "excused": False, "input_tokens": 1, "output_tokens": 2, "cached_tokens": 0,
    "reasoning_tokens": 0, "created_at": datetime(2026, 11, 22, tzinfo=UTC),
}  # fmt: skip


def test_the_warehouse_is_told_what_came_and_what_went(pair: Pair) -> None:
    document = pair.answer(1)
    pair.catch_up()
    [batch] = pair.column(palette_tags.c.batch_id)
    with pair.store.read() as connection:
        mark = latest(connection)
    pair.delete(document)
    pair.catch_up()

    with pair.store.read() as connection:
        told = [(change.topic, change.key) for change in since(connection, mark)]
    assert told == [("responses", batch)]


def test_two_followers_do_not_both_go_on(pair: Pair) -> None:
    pair.answer(1)
    one, other = pair.syncer(), pair.syncer()
    one.step()

    with pytest.raises(StoreError, match="another process follows"):
        other.step()


def test_another_address_is_refused_until_it_is_said_to_be_the_same(pair: Pair) -> None:
    pair.answer(1)
    pair.catch_up()
    pair.url = "https://happy.example"
    with pytest.raises(ConfigError, match=r"this home follows http://127\.0\.0\.1:3210"):
        pair.syncer()

    move(pair.store, pair.url)
    assert pair.catch_up().report.total.already_there == 1
    with pair.store.read() as connection:
        assert follows(connection) == pair.url


def test_a_dry_run_counts_every_page_and_writes_nothing(pair: Pair) -> None:
    for run in range(1, 8):
        pair.answer(run)
    pair.log.change_settings({"sync_page": 3})
    before = contents(pair)
    syncer = pair.syncer(dry_run=True)
    while not syncer.step().is_current:
        pass

    assert syncer.report.total.imported == 7
    assert contents(pair) == before


def test_what_is_deleted_before_it_is_whole_is_not_remembered_for_ever(pair: Pair) -> None:
    document = pair.answer(1)
    pair.catch_up()
    pair.delete(document)
    pair.catch_up()

    assert pair.column(convex_documents.c.source_id) == []


def test_a_refinement_is_given_back_once_and_not_taken_for_theirs(pair: Pair) -> None:
    with pair.store.write() as connection:
        rows = [
            {
                **OWN,
                "run_number": run,
                "source_prompt_versions": ["p"],
                "input": "",
                "embed_text": "x",
            }
            for run in range(1, 4)
        ]
        connection.execute(sa.insert(palette_tag_refined), rows)
    calls: list[Mapping[str, Any]] = []

    def mutate(_name: str, args: Mapping[str, Any]) -> None:
        calls.append(args)
        pair.insert("palette_tag_refined", **args)

    pusher = Pusher(pair.app.services, mutate, "m:f")
    assert len(list(pusher.pending())) == 3
    assert calls == []
    pusher.push(lambda: False)
    Pusher(pair.app.services, mutate, "m:f").push(lambda: False)
    syncer = pair.catch_up()

    assert len({call["idempotencyKey"] for call in calls}) == len(calls) == 3
    assert syncer.report.total.left_out == 3
    assert len(pair.column(palette_tag_refined.c.id)) == 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["insert", "insert", "patch", "delete", "import", "expire", "step", "step"]
        ),
        st.integers(0, 99),
    ),
    max_size=40,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, size=st.integers(1, 5))
def test_whatever_happens_there_it_ends_equal(
    either: Pair, steps: list[tuple[str, int]], size: int
) -> None:
    pair = either
    pair.start_over()
    pair.log.change_settings({"sync_page": size, "snapshot_page": size, "deltas_page": size})
    syncer = pair.syncer()
    for number, (what, choice) in enumerate(steps, start=1):
        ids = list(pair.held())
        chosen = ids[choice % len(ids)] if ids else None
        if what == "step":
            if syncer.step().is_current:
                assert pair.mirrored() == pair.held()
        elif what == "expire":
            pair.log.expire()
        elif what == "insert" or chosen is None:
            pair.answer(number)
        elif what == "patch":
            pair.patch(chosen, tags={**FULL, "mood": [f"mood {choice}"]})
        elif what == "delete":
            pair.delete(chosen)
        elif not isinstance(pair.http, Legacy):
            import_again(pair)
    while not syncer.step().is_current:
        pass

    assert pair.mirrored() == pair.held()


def import_again(pair: Pair) -> None:
    rows = [
        {name: value for name, value in entry.document.items() if not name.startswith("_")}
        for entry in pair.log.documents()
    ]
    with pair.log.transaction() as transaction:
        transaction.truncate("palette_tags")
        for row in rows:
            transaction.insert("palette_tags", row)
