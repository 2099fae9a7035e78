"""PostgreSQL commits in any order, which the watermark must survive: with a real server."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from benchmarks.postgres import Server, connect
from grabient_ops.analytics.follower import start_follower
from grabient_ops.analytics.manifest import read_manifest, write_manifest
from grabient_ops.analytics.search.embedding import WordVectors
from grabient_ops.analytics.search.index import open_index
from grabient_ops.analytics.search.refresh import refresh_refined
from grabient_ops.analytics.sync import sync
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.app import App
from grabient_ops.errors import StoreError
from grabient_ops.importers.convex.export import read_export
from grabient_ops.importers.d1.choice import Choice
from grabient_ops.importers.d1.reading import read_d1
from grabient_ops.pipeline.importing import Importer
from grabient_ops.pipeline.services import Services
from grabient_ops.settings import Settings
from grabient_ops.store.changes import announce
from grabient_ops.store.tables import palette_tag_refined, palette_tags
from tests.importers.conftest import Convex, convex_documents, site, tag_row

if TYPE_CHECKING:
    from tests.analytics.conftest import Home, WriterStarter

PATIENCE_S = 60.0


@pytest.fixture
def home(server: Server, tmp_path: Path, home_of: "type[Home]") -> Iterator["Home"]:
    """A store in a database of its own, for a user without privileges."""
    name = f"test_{time.time_ns()}"
    with connect(server.folder) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN".encode())
        connection.execute(f"CREATE DATABASE {name} OWNER {name}".encode())
    home = home_of(tmp_path, f"postgresql+psycopg://{name}@/{name}?host={server.folder}")
    yield home
    home.store.close()


def _write(connection: Connection, home: "Home", number: int, tag: str) -> None:
    row = home.row(number, batch_id="same", tags={"mood": [tag]})
    connection.execute(sa.delete(palette_tags).where(palette_tags.c.id == number))
    connection.execute(sa.insert(palette_tags), [row])
    announce(connection, "responses", ["same"], row["created_at"])


def test_a_transaction_that_began_first_and_commits_last_is_not_lost(home: "Home") -> None:
    with home.store.write() as slow:
        _write(slow, home, 1, "slow")
        with home.store.write() as quick:
            _write(quick, home, 2, "quick")
        home.sync()
        assert [row[0] for row in home.contents()[0]] == [2]
    synced = home.sync()

    assert synced.batches == 1
    assert [row[0] for row in home.contents()[0]] == [1, 2]


def test_the_last_commit_wins_whatever_the_numbers_in_the_feed(home: "Home") -> None:
    home.put(home.row(1, batch_id="same", tags={"mood": ["first"]}))
    with home.store.write() as early:
        announce(early, "responses", ["same"], home.row(1)["created_at"])
        with home.store.write() as other:
            _write(other, home, 1, "second")
        home.sync()
        early.execute(sa.update(palette_tags).values(tags={"mood": ["third"]}))
    home.sync()

    assert home.contents() == home.rebuilt()
    assert [row[7] for row in home.contents()[1]] == ["third"]


def test_a_sync_without_news_reads_nothing(home: "Home") -> None:
    home.put(home.row(1, response="凉\n'"))
    first = home.sync()
    again = home.sync()

    assert (again.generation, again.answers, again.batches) == (first.generation, 0, 0)


@pytest.mark.timeout(240)
def test_several_writers_and_a_follower_end_exact(
    home: "Home", start_writer: "WriterStarter"
) -> None:
    follower = start_follower(home.folder, home.url)
    writers = [start_writer(home.url, number) for number in range(4)]
    while any(writer.poll() is None for writer in writers):
        home.sync()
        time.sleep(0.05)
    assert [(writer.communicate()[0], writer.returncode) for writer in writers] == [("", 0)] * 4
    follower.terminate()

    assert follower.wait(timeout=PATIENCE_S) == 0
    assert home.contents() == home.rebuilt()


def test_transactions_counted_by_another_server_mean_a_rebuild(home: "Home") -> None:
    home.put(home.row(1))
    home.sync()
    manifest = read_manifest(home.lake)
    assert manifest is not None
    elsewhere = {**(manifest.watermark or {}), "cluster": "another/1/5"}
    write_manifest(home.lake, msgspec.structs.replace(manifest, watermark=elsewhere))

    assert home.sync().batches is None


def test_refined_palettes_follow_a_transaction_that_commits_last(home: "Home") -> None:
    embedder = WordVectors()
    with home.store.write() as slow:
        announce(slow, "refinements", ["slow"], home.row(1)["created_at"])
        slow.execute(sa.insert(palette_tag_refined), [home.refined(1, "slow", batch_id="slow")])
        home.refine(home.refined(2, "quick", batch_id="quick"))
        assert refresh_refined(home.lake, home.url, embedder).read == 1
    refreshed = refresh_refined(home.lake, home.url, embedder)

    assert (refreshed.read, refreshed.embedded) == (1, 1)
    assert refresh_refined(home.lake, home.url, embedder).read == 0
    assert sorted(open_index(home.lake).texts) == ["quick", "slow"]


def test_a_server_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        sync(tmp_path / "lake", f"postgresql+psycopg://tester@/x?host={tmp_path}")


@pytest.fixture
def services(home: "Home", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The parts of an app over the same database."""
    monkeypatch.setenv("GRABIENT_OPS_HOME", str(tmp_path / "ops"))
    monkeypatch.setenv("GRABIENT_OPS_DATABASE_URL", home.url)
    app = App(Settings())
    yield app.services
    app.store.close()


def test_what_comes_again_from_another_system_is_recognised(
    home: "Home", services: Services, tmp_path: Path
) -> None:
    export = Convex(convex_documents()).write(tmp_path / "snapshot.zip")

    reports = [
        Importer(services, "convex").run(read_export(export), lambda _: None).total
        for _ in range(2)
    ]

    assert [(report.imported, report.already_there) for report in reports] == [(12, 0), (0, 12)]
    assert home.sync().answers == 3


def test_a_nul_that_an_import_brings_is_kept_and_reaches_the_warehouse(
    home: "Home", services: Services, tmp_path: Path
) -> None:
    dump = site(tag_row(1, tags="a\0b\uffff0"), tag_row(2)).write(tmp_path / "dump.sql")
    importer = Importer(services, "d1")

    importer.run(read_d1(dump, Choice()), lambda _: None)

    assert importer.report.tables["palette_tags"].imported == 2
    home.sync()
    with open_warehouse(home.lake) as warehouse:
        responses = warehouse.connection.execute("SELECT response FROM answers").fetchall()
    assert "a\0b\uffff0" in [response for (response,) in responses]
