"""On PostgreSQL commits come in any order and connections are lost; pages follow all the same."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from benchmarks.postgres import Server
from grabient_ops.app import App
from grabient_ops.settings import Settings
from grabient_ops.store.changes import announce, news
from grabient_ops.web.live.watch import watch_home

if TYPE_CHECKING:
    from tests.web.conftest import Served, Shelf


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.create("live")


@pytest.fixture
def app(database: str, tmp_path: Path) -> Iterator[App]:
    """A home on PostgreSQL."""
    app = App(Settings(home=tmp_path, database_url=database))
    yield app
    app.store.close()


def test_a_commit_reaches_the_page(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes("a")
    batch_id = shelf.batch("a")
    with served.follow() as viewer:
        viewer.next()
        shelf.update(batch_id, live_completed=1)
        assert viewer.next().targets == [f"workflow-{batch_id}"]


def test_what_commits_later_than_it_was_numbered_is_news(app: App, shelf: "Shelf") -> None:
    engine = sa.create_engine(app.settings.store_url)
    with engine.connect() as late:
        announce(late, "prompts", ["written first"], app.services.now())
        shelf.palettes("written second, committed first")
        with app.store.read() as connection:
            _, mark = news(connection, None)
        late.commit()
    with app.store.read() as connection:
        topics, mark = news(connection, mark)
        assert topics == {"prompts"}
    with app.store.read() as connection:
        assert news(connection, mark)[0] == set()
    engine.dispose()


def test_a_reading_is_one_snapshot(app: App, shelf: "Shelf") -> None:
    count = sa.text("SELECT count(*) FROM palettes")
    with app.store.read() as connection:
        before = connection.execute(count).scalar_one()
        shelf.palettes("added in the middle")
        assert connection.execute(count).scalar_one() == before


def test_it_listens_again_when_the_server_has_hung_up(
    app: App, server: Server, shelf: "Shelf", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.bell._RETRY_S", 0.05)
    shelf.palettes("before")

    async def test() -> None:
        touched = asyncio.Event()

        def touch(topics: object) -> None:
            if topics == ["journal"]:
                touched.set()

        task = asyncio.create_task(watch_home(app, touch))
        async with asyncio.timeout(20):
            await touched.wait()
            app.store.close()
            await asyncio.to_thread(server.stop)
            touched.clear()
            await asyncio.to_thread(server.start)
            await touched.wait()
            touched.clear()
            await asyncio.to_thread(shelf.palettes, "after")
            await touched.wait()
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(test())
