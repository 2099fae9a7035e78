"""Who waits is woken by the commits of others; lost connections and signals are no exception."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import pytest
from sqlalchemy.engine import make_url

from benchmarks.fleet import until
from benchmarks.postgres import Server, connect
from grabient_ops.bell import Bell
from grabient_ops.store.changes import announce
from grabient_ops.store.engine import Store, open_store

PATIENCE_S = 60.0
_LISTENERS = """
SELECT pid FROM pg_stat_activity WHERE application_name = 'grabient-ops bell' AND datname = %s"""
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.create(f"bell_{time.monotonic_ns()}")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def bell(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    """A bell that is listened to; it has rung for its connection."""
    monkeypatch.setattr("grabient_ops.bell._RETRY_S", 0.02)
    with store.bell() as bell:
        assert bell.wait(PATIENCE_S)
        yield bell


def _announce(store: Store) -> None:
    with store.write() as connection:
        announce(connection, "palettes", ["a"], NOW)


def _listeners(server: Server, url: str) -> set[int]:
    """Return the processes of the server that serve a bell."""
    with connect(server.folder) as connection:
        rows = connection.execute(_LISTENERS, [make_url(url).database])
        return {row[0] for row in rows}


def test_a_commit_rings_and_a_rollback_does_not(bell: Bell, store: Store) -> None:
    def give_up() -> None:
        with store.write() as connection:
            announce(connection, "palettes", ["a"], NOW)
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    assert not bell.wait(0.3)

    _announce(store)
    assert bell.wait(PATIENCE_S)
    assert not bell.wait(0)


def test_what_rang_before_the_wait_ends_it_at_once(bell: Bell) -> None:
    bell.ring()
    bell.ring()

    assert bell.wait(PATIENCE_S)
    assert not bell.wait(0)


def test_a_connection_that_was_cut_is_made_again_and_rings(
    bell: Bell, store: Store, server: Server, url: str
) -> None:
    (serving,) = _listeners(server, url)
    os.kill(serving, signal.SIGTERM)
    assert bell.wait(PATIENCE_S)

    _announce(store)
    assert bell.wait(PATIENCE_S)


def test_a_server_that_has_fallen_silent_is_called_again(
    store: Store, server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.bell._LISTEN_S", 0.3)
    with store.bell() as bell:
        assert bell.wait(PATIENCE_S)
        (silent,) = _listeners(server, url)
        os.kill(silent, signal.SIGSTOP)
        try:
            until(lambda: _listeners(server, url) - {silent}, PATIENCE_S)
            monkeypatch.setattr("grabient_ops.bell._LISTEN_S", PATIENCE_S * 2)
            until(lambda: not bell.wait(0.5), PATIENCE_S)
            _announce(store)
            assert bell.wait(PATIENCE_S)
        finally:
            os.kill(silent, signal.SIGCONT)


def test_a_signal_handler_may_ring(bell: Bell) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        bell.ring()

    before = signal.signal(signal.SIGUSR1, handle)
    main = threading.main_thread().ident or 0
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGUSR1))
    timer.start()
    try:
        assert bell.wait(PATIENCE_S)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def _time(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_it_closes_at_once_even_where_no_server_is(tmp_path: Path) -> None:
    bell = Bell(f"postgresql+psycopg://tester@/none?host={tmp_path}")

    def open_and_close() -> None:
        with bell:
            assert not bell.wait(0.1)

    assert _time(open_and_close) < 9  # it tries to connect for ten


def test_on_sqlite_it_waits_as_long_as_it_is_told_and_can_be_rung(tmp_path: Path) -> None:
    with Bell(f"sqlite:///{tmp_path / 'store.sqlite'}") as bell:
        assert not bell.hears
        assert not bell.wait(0.01)
        threading.Timer(0.05, bell.ring).start()
        assert bell.wait(PATIENCE_S)
