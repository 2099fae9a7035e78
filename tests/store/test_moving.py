"""`db copy`: every row arrives, numbers go on, and nobody works on two stores."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from benchmarks.postgres import Server
from grabient_ops.errors import StoreError
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.leases import join
from grabient_ops.store.moving import move_store, refuse_moved
from grabient_ops.store.notes import set_note
from grabient_ops.store.tables import metadata, palette_tags

if TYPE_CHECKING:
    from tests.store.conftest import Shelf


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store on SQLite, which is what is moved."""
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield store
    store.close()


@pytest.fixture
def target(server: Server) -> Iterator[Store]:
    """An empty store on PostgreSQL."""
    store = open_store(server.create(f"target_{monotonic_ns()}"))
    yield store
    store.close()


def _rows(store: Store, name: str) -> list[dict[str, Any]]:
    table = metadata.tables[name]
    with store.read() as connection:
        query = sa.select(table).order_by(*table.primary_key)
        return [dict(row) for row in connection.execute(query).mappings()]


def _move(source: Store, target: Store) -> dict[str, int]:
    return move_store(source, target, lambda _done, _total: None)


def _fill(shelf: "Shelf") -> None:
    shelf.plan("a", "b")
    batch_id = shelf.reserve("a", "b")
    tags = {"mood": ["凉 \0 🌊"], "temperature": None}
    shelf.respond(shelf.row(seed="a", batch_id=batch_id, response="\0 as it came\n", tags=tags))
    shelf.respond(shelf.row(seed="b", batch_id=batch_id, error_class="truncated", tags=None))


def test_every_row_arrives_as_it_was(shelf: "Shelf", target: Store) -> None:
    _fill(shelf)
    before = {name: _rows(shelf.store, name) for name in metadata.tables}

    counts = _move(shelf.store, target)

    assert {name: _rows(target, name) for name in metadata.tables} == before
    assert counts["palette_tags"] == counts["palettes"] == 2


def test_numbers_go_on_after_those_that_were_moved(shelf: "Shelf", target: Store) -> None:
    _fill(shelf)
    _move(shelf.store, target)

    with target.write() as connection:
        connection.execute(sa.insert(palette_tags), [shelf.row(seed="c")])

    assert [row["id"] for row in _rows(target, "palette_tags")] == [1, 2, 3]


def test_it_can_be_moved_back(shelf: "Shelf", target: Store, tmp_path: Path) -> None:
    _fill(shelf)
    before = _rows(shelf.store, "palette_tags")
    _move(shelf.store, target)
    again = open_store(f"sqlite:///{tmp_path / 'again.sqlite'}")

    _move(target, again)

    assert _rows(again, "palette_tags") == before
    again.close()


def test_a_store_that_has_moved_is_closed(shelf: "Shelf", target: Store) -> None:
    _move(shelf.store, target)

    with pytest.raises(StoreError, match="moved to postgresql"), shelf.store.read() as connection:
        refuse_moved(connection)
    with pytest.raises(StoreError, match="moved to postgresql"):
        _move(shelf.store, target)
    with target.read() as connection:
        refuse_moved(connection)


def test_a_target_with_rows_is_refused_and_the_source_stays_open(
    shelf: "Shelf", target: Store
) -> None:
    with target.write() as connection:
        set_note(connection, "mine", "yes")

    with pytest.raises(StoreError, match="is not empty: its table notes has rows"):
        _move(shelf.store, target)
    with shelf.store.read() as connection:
        refuse_moved(connection)


def test_a_store_that_a_worker_works_on_is_not_moved(
    shelf: "Shelf", target: Store, tmp_path: Path
) -> None:
    with target.write() as connection:
        join(connection, "w1", "host", "0.1.0", 60.0, shelf.now)
    again = open_store(f"sqlite:///{tmp_path / 'again.sqlite'}")

    with pytest.raises(StoreError, match="a worker works on the store"):
        _move(target, again)
    again.close()
