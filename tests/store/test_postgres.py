"""What PostgreSQL does otherwise than SQLite: it commits in any order, and knows no NUL."""

import threading
from collections.abc import Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.postgres import Server
from grabient_ops.errors import OutdatedError, StoreError
from grabient_ops.store.batches import load_batch, request_cancel, update_batch
from grabient_ops.store.changes import announce, follow, mark_now, news
from grabient_ops.store.columns import escape_nul, unescape_nul
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.locks import lock
from grabient_ops.store.notes import get_note, set_note

if TYPE_CHECKING:
    from tests.store.conftest import Shelf

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def one_store(server: Server) -> Iterator[Store]:
    store = open_store(server.create(f"store_{monotonic_ns()}"))
    yield store
    store.close()


@pytest.fixture
def store(one_store: Store) -> Store:
    """The same for all tests, which keep apart."""
    return one_store


def test_who_is_stopped_in_a_transaction_holds_up_others_for_a_minute_at_most(
    store: Store,
) -> None:
    show = sa.text("SHOW idle_in_transaction_session_timeout")
    with store.write() as connection:
        assert connection.execute(show).scalar() == "1min"
    with store.read() as connection:  # may be a list that somebody reads page by page
        assert connection.execute(show).scalar() == "0"


def _in_thread(work: "threading.Thread") -> threading.Thread:
    work.start()
    return work


def test_a_migration_waits_for_writes_and_afterwards_an_old_process_is_refused(
    server: Server,
) -> None:
    store = open_store(server.create(f"migrated_{monotonic_ns()}"))

    def migrate() -> None:
        with store._engine.begin() as connection:
            lock(connection, "schema")
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with store.write() as connection:
        migration = _in_thread(threading.Thread(target=migrate))
        migration.join(0.3)
        set_note(connection, "demo", "in time")
        assert migration.is_alive()
    migration.join(PATIENCE_S)

    for opened in (store.write, store.read):
        with pytest.raises(OutdatedError, match="install that release"), opened():
            pytest.fail("another schema was used")
    store.close()


def test_a_change_that_began_first_and_commits_last_is_followed(
    store: Store, shelf: "Shelf"
) -> None:
    with store.read() as connection:
        mark = mark_now(connection)
    with store.write() as slow:
        announce(slow, "palettes", ["slow"], shelf.now)
        with store.write() as quick:
            announce(quick, "batches", ["quick"], shelf.now)
        with store.read() as connection:
            assert news(connection, mark)[0] == {"batches"}
            first, mark = follow(connection, mark)
    with store.read() as connection:
        second, mark = follow(connection, mark)
    with store.read() as connection:
        third, _ = follow(connection, mark)

    assert [[change.key for change in found] for found in (first, second, third)] == [
        ["quick"], ["slow"], [],
    ]  # fmt: skip


def test_a_reader_keeps_its_snapshot_and_writes_nothing(store: Store) -> None:
    with store.read() as snapshot:
        assert get_note(snapshot, "snapshot") is None
        with store.write() as connection:
            set_note(connection, "snapshot", "1")

        assert get_note(snapshot, "snapshot") is None
    with pytest.raises(StoreError, match="read-only"), store.read() as connection:
        set_note(connection, "snapshot", "2")


def test_a_batch_that_a_transaction_has_loaded_is_changed_by_nobody_else(
    store: Store, shelf: "Shelf"
) -> None:
    batch_id = shelf.reserve("locked")

    def cancel() -> None:
        with store.write() as connection:
            request_cancel(connection, batch_id, shelf.now)

    with store.write() as connection:
        load_batch(connection, batch_id)
        other = _in_thread(threading.Thread(target=cancel))
        other.join(0.3)
        assert other.is_alive()
        assert load_batch(connection, batch_id).cancel_requested_at is None
        update_batch(connection, batch_id, shelf.now, state="submitting")
    other.join(PATIENCE_S)

    with store.read() as connection:
        assert load_batch(connection, batch_id).cancel_requested_at == shelf.now


def test_decisions_under_one_lock_see_each_other(store: Store) -> None:
    def count_up() -> None:
        for _ in range(10):
            with store.write() as connection:
                lock(connection, "spending")
                so_far = int(get_note(connection, "count") or 0)
                set_note(connection, "count", str(so_far + 1))

    threads = [_in_thread(threading.Thread(target=count_up)) for _ in range(4)]
    for thread in threads:
        thread.join(PATIENCE_S)

    with store.read() as connection:
        assert get_note(connection, "count") == "40"


def test_texts_are_ordered_by_code_point_whatever_the_databases_language(store: Store) -> None:
    query = sa.text("""
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type IN ('text', 'character varying')
          AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'alembic_version'""")
    with store.read() as connection:
        assert connection.execute(query).all() == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\uffff01")))
def test_escaped_text_holds_no_nul_and_comes_back_as_it_was(text: str) -> None:
    escaped = escape_nul(text)

    assert "\0" not in escaped
    assert unescape_nul(escaped) == text


@pytest.mark.parametrize("text", ["\0", "a\0b", "\uffff", "\uffff0", "\0\uffff1\0", "凉\0🌊"])
def test_a_text_with_nul_is_stored_and_found(store: Store, text: str) -> None:
    with store.write() as connection:
        set_note(connection, text, text)

    with store.read() as connection:
        assert get_note(connection, text) == text


def test_a_server_that_is_not_there_is_told_in_one_sentence(server: Server) -> None:
    with pytest.raises(StoreError, match=r"^the store postgresql.* failed: .*") as refused:
        open_store(f"postgresql+psycopg://tester:hunter2@/x?host={server.folder}/nowhere")

    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_server_that_takes_no_writes_any_more_is_told_in_one_sentence(store: Store) -> None:
    def write() -> None:
        with store.write() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            set_note(connection, "a", "b")

    with pytest.raises(StoreError, match="read-only"):
        write()
