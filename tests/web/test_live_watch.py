"""Commits of others are noticed: the kernel tells of a write, SQLite whether it is one."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from grabient_ops.web.live import watch
from grabient_ops.web.live.inotify import written
from grabient_ops.web.live.watch import watch_file, watch_sqlite

Watch = Callable[[Path, Callable[[], None]], Coroutine[Any, Any, None]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "some.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    return file


def watching(
    start: Watch, file: Path, test: Callable[["Touches"], Coroutine[Any, Any, None]]
) -> None:
    """Run a test beside a watch, within ten seconds."""

    async def both() -> None:
        touches = Touches()
        task = asyncio.create_task(start(file, touches.add))
        try:
            async with asyncio.timeout(10):
                await test(touches)
        finally:
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(both())


class Touches:
    """Counts what a watch says."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def add(self) -> None:
        self.count += 1
        self._event.set()

    async def next(self) -> None:
        await self._event.wait()
        self._event.clear()


def _run(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True)


async def _commit_elsewhere(file: Path) -> None:
    script = f"import sqlite3; c = sqlite3.connect({str(file)!r})"
    script += "; c.execute('INSERT INTO t VALUES (1)'); c.commit()"
    await asyncio.to_thread(_run, script)


@pytest.mark.parametrize("has_inotify", [True, False])
def test_a_commit_of_another_process_is_noticed(
    database: Path, monkeypatch: pytest.MonkeyPatch, *, has_inotify: bool
) -> None:
    if not has_inotify:
        monkeypatch.setattr("ctypes.CDLL", lambda *_args, **_options: object())

    async def test(touches: Touches) -> None:
        await touches.next()
        for _ in range(3):
            await _commit_elsewhere(database)
            await touches.next()

    watching(watch_sqlite, database, test)


def test_it_ends_even_when_it_is_cancelled_in_the_moment_of_a_write(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        event = asyncio.Event()
        monkeypatch.setattr(watch, "written", lambda _file: nullcontext(event))
        touched = asyncio.Event()
        task = asyncio.create_task(watch_sqlite(database, touched.set))
        await touched.wait()
        await asyncio.sleep(0.01)
        event.set()
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=20)
        assert done

    asyncio.run(test())


def test_what_is_rolled_back_is_no_news(database: Path) -> None:
    other = sqlite3.connect(database, isolation_level=None)

    async def test(touches: Touches) -> None:
        await touches.next()
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO t VALUES (1)")
        other.execute("ROLLBACK")
        await asyncio.sleep(0.4)
        assert touches.count == 1
        other.execute("INSERT INTO t VALUES (1)")
        await touches.next()

    watching(watch_sqlite, database, test)
    other.close()


def test_a_missed_wake_is_made_good_within_a_moment(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.web.live.inotify._names", lambda _events: iter(()))
    other = sqlite3.connect(database, isolation_level=None)

    async def test(touches: Touches) -> None:
        await touches.next()
        other.execute("INSERT INTO t VALUES (1)")
        async with asyncio.timeout(2):
            await touches.next()

    watching(watch_sqlite, database, test)
    other.close()


def test_a_database_that_appears_later_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_RETRY_S", 0.05)
    file = tmp_path / "later.sqlite"

    async def test(touches: Touches) -> None:
        await asyncio.sleep(0.2)
        assert touches.count == 0
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE t (x)")
        await touches.next()
        other.close()

    watching(watch_sqlite, file, test)


def test_a_file_is_news_when_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_MANIFEST_S", 0.01)
    file = tmp_path / "manifest.json"

    async def test(touches: Touches) -> None:
        await asyncio.sleep(0.05)
        assert touches.count == 0
        for text in ("one", "two"):
            file.with_suffix(".new").write_text(text)
            file.with_suffix(".new").rename(file)
            await touches.next()
        await asyncio.sleep(0.1)
        assert touches.count == 2

    watching(watch_file, file, test)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_folder_that_is_not_there_is_an_error_and_leaks_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        with pytest.raises(FileNotFoundError):
            async with written(tmp_path / "no" / "file"):
                raise AssertionError

    before = _open_files()
    for _ in range(5):
        asyncio.run(test())
    assert _open_files() == before
