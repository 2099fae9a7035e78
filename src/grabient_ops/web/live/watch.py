"""Notices commits of other processes, so that nobody has to poll the data itself."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import sqlalchemy as sa

from grabient_ops.app import App
from grabient_ops.bell import listen
from grabient_ops.web.live.inotify import written
from grabient_ops.web.live.topics import Topic

_SAFETY_S = 0.25
_WITHOUT_INOTIFY_S = 0.01
_SETTLE_S = (0.0005, 0.001, 0.001, 0.002, 0.002, 0.004, 0.004, 0.008, 0.008, 0.016, 0.032)
"""A commit is written, then flushed to the disk, and only then to be seen."""
_RETRY_S = 1.0
_MANIFEST_S = 0.5

Touch = Callable[[], None]
"""Called on the event loop when something may have been committed."""


async def watch_home(app: App, touch: Callable[[Iterable[Topic]], None]) -> None:
    """Watch all that pages show until cancelled: the store, the journal, the lake.

    Args:
        app: the home's parts.
        touch: what to call; without topics, the store's feed says which.
    """

    def journal() -> None:
        touch(["journal"])

    def lake() -> None:
        touch(["warehouse"])

    watches = [watch_file(app.lake / "manifest.json", lake)]
    if app.settings.is_postgres:
        # A workflow's steps and its batch's state move together.
        watches.append(listen(app.settings.store_url, journal))
    else:
        store = sa.engine.make_url(app.settings.store_url)
        watches.append(watch_sqlite(Path(store.database or ""), lambda: touch([])))
        watches.append(watch_sqlite(app.settings.home / "journal.sqlite", journal))
    await asyncio.gather(*watches)


async def watch_sqlite(file: Path, touch: Touch) -> None:
    """Watch a database file in WAL mode until cancelled.

    A write to the log wakes us, then SQLite itself says whether there was a commit.
    """
    while True:
        with contextlib.suppress(sqlite3.Error, OSError):  # it may not be there yet
            await _follow_sqlite(file, touch)
        await asyncio.sleep(_RETRY_S)


async def watch_file(file: Path, touch: Touch) -> None:
    """Watch a file that is replaced now and then, until cancelled."""
    seen = None
    while True:
        state = _state_of(file)
        if state not in {None, seen}:
            seen = state
            touch()
        await asyncio.sleep(_MANIFEST_S)


def _state_of(file: Path) -> tuple[int, int] | None:
    try:
        state = file.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_mtime_ns


def _open(file: Path) -> sqlite3.Connection:
    """Open a connection that is used for nothing else: it does not notice its own commits."""
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
    )
    connection.execute("PRAGMA busy_timeout=100")
    return connection


async def _follow_sqlite(file: Path, touch: Touch) -> None:
    log_file = file.with_name(f"{file.name}-wal")
    with contextlib.closing(_open(file)) as connection:
        async with written(log_file) as event:
            await _touch_at_commits(connection, event, touch)


async def _touch_at_commits(
    connection: sqlite3.Connection, written: asyncio.Event | None, touch: Touch
) -> None:
    seen = -1
    pauses: tuple[float, ...] = ()
    while True:
        version = await _version_after(connection, seen, pauses)
        if version != seen:
            seen = version
            touch()
        pauses = _SETTLE_S if await _is_written(written) else ()


async def _is_written(written: asyncio.Event | None) -> bool:
    """Wait for a write; False after a while without one."""
    if written is None:
        await asyncio.sleep(_WITHOUT_INOTIFY_S)
        return False
    try:
        async with asyncio.timeout(_SAFETY_S):  # wait_for of Python 3.11 may lose a cancellation
            await written.wait()
    except TimeoutError:
        return False
    written.clear()
    return True


async def _version_after(
    connection: sqlite3.Connection, seen: int, pauses: tuple[float, ...]
) -> int:
    """Return the data version; while it is the one that was seen, look again after each pause."""
    version = _data_version(connection)
    for pause in pauses:
        if version != seen:
            break
        await asyncio.sleep(pause)
        version = _data_version(connection)
    return version


def _data_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version
