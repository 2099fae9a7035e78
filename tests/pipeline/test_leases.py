import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import exc
from sqlalchemy.engine import Connection
from typing_extensions import override

from benchmarks.fleet import until
from benchmarks.postgres import Server
from grabient_ops.errors import StoreError
from grabient_ops.pipeline.leases import LeasedTenure, Tenure, WorkerEndedError, open_tenure
from grabient_ops.providers.gate import through_gate
from grabient_ops.store import leases as store_leases
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.leases import list_leases
from grabient_ops.store.notes import get_note, set_note

LEASE_S = 1.5


@pytest.fixture
def store(server: Server, request: pytest.FixtureRequest) -> Iterator[Store]:
    store = open_store(server.create(f"leases_{abs(hash(request.node.nodeid))}"))
    yield store
    store.close()


class _Silent(LeasedTenure):
    """A worker that joins and then says nothing more, as one that was stopped."""

    @override
    def _keep_renewing(self) -> None:
        return


def _begun(stack: ExitStack, tenure: LeasedTenure) -> LeasedTenure:
    tenure.begin()
    stack.callback(tenure.end, 0)
    return tenure


def _members(store: Store) -> list[str]:
    with store.read() as connection:
        return [lease.id for lease in list_leases(connection)]


def test_the_first_worker_leads_and_then_the_next(store: Store, tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = _begun(stack, LeasedTenure(store, LEASE_S, tmp_path))
        second = _begun(stack, LeasedTenure(store, LEASE_S, tmp_path))
        assert (first.leads, second.leads) == (True, False)

        first.end(0)
        until(lambda: second.leads, 60)


def test_every_batch_is_the_share_of_exactly_one_worker(store: Store, tmp_path: Path) -> None:
    with ExitStack() as stack:
        workers = [_begun(stack, LeasedTenure(store, LEASE_S, tmp_path)) for _ in range(3)]
        until(lambda: all(len(worker.members) == 3 for worker in workers), 60)
        shares = [sum(worker.is_mine(f"batch{n}") for n in range(300)) for worker in workers]

    assert sum(shares) == 300
    assert min(shares) > 60


def test_a_silent_worker_can_write_nothing_more(store: Store, tmp_path: Path) -> None:
    with ExitStack() as stack:
        silent = _begun(stack, _Silent(store, LEASE_S, tmp_path))
        _begun(stack, LeasedTenure(store, LEASE_S, tmp_path))
        until(lambda: silent.id not in _members(store), 60)

        with pytest.raises(WorkerEndedError), store.guarded(silent.guard).write() as connection:
            set_note(connection, "demo", "by the dead")

        assert silent.is_lost
        with store.read() as connection:
            assert get_note(connection, "demo") is None


def _write_a_note(store: Store, silent: LeasedTenure, stop: Callable[[], object]) -> None:
    with store.guarded(silent.guard).write() as connection:
        set_note(connection, "demo", "by the dead")
        stop()


def _renew(store: Store, silent: LeasedTenure, stop: Callable[[], object]) -> None:
    with store.write() as connection:
        store_leases.renew(connection, silent.id, LEASE_S)
        stop()


def _write_many_notes(store: Store, silent: LeasedTenure, stop: Callable[[], object]) -> None:
    """Stop where the server waits for the rest of what it was sent, and counts as active."""
    with store.guarded(silent.guard).write() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.pipeline():
            driver.execute("SELECT 1")
            stop()


@pytest.mark.parametrize("work", [_write_a_note, _renew, _write_many_notes])
def test_a_worker_stopped_in_a_transaction_loses_that_first(
    store: Store,
    tmp_path: Path,
    work: Callable[[Store, LeasedTenure, Callable[[], object]], None],
) -> None:
    with ExitStack() as stack:
        silent = _begun(stack, _Silent(store, LEASE_S, tmp_path))
        _begun(stack, LeasedTenure(store, LEASE_S, tmp_path))

        with pytest.raises((StoreError, psycopg.OperationalError)):
            work(store, silent, lambda: until(lambda: silent.id not in _members(store), 60))

        with store.read() as connection:
            assert get_note(connection, "demo") is None


def test_a_worker_of_the_same_home_that_has_ended_is_followed_at_once(
    store: Store, tmp_path: Path
) -> None:
    long_s = 60.0
    with ExitStack() as stack:
        dead = _begun(stack, _Silent(store, long_s, tmp_path))
        assert dead._lock is not None
        dead._lock.close()  # as the system does with the files of a process that was killed
        successor = _begun(stack, LeasedTenure(store, long_s, tmp_path))

        assert successor.leads
        assert _members(store) == [successor.id]


def test_nothing_is_created_while_the_lease_is_in_doubt(store: Store, tmp_path: Path) -> None:
    with ExitStack() as stack:
        silent = _begun(stack, _Silent(store, LEASE_S, tmp_path))
        with silent.creating():
            pass
        time.sleep(LEASE_S)
        created: list[Exception | BaseException | None] = []

        def create() -> None:
            try:
                with silent.creating():
                    created.append(None)
            except WorkerEndedError as error:
                created.append(error)

        thread = threading.Thread(target=create)
        thread.start()
        thread.join(0.3)
        assert created == []

        silent._renew()  # it is heard of again before anybody has taken over
        thread.join(60)
        assert created == [None]


def test_nothing_is_sent_when_the_lease_falls_in_doubt_on_the_way(
    store: Store, tmp_path: Path
) -> None:
    def create() -> None:
        with silent.creating():
            through_gate(request)
            time.sleep(LEASE_S)  # as if stopped, while an SDK imports and connects
            threading.Timer(0.3, silent.end, [0]).start()
            request.extensions["trace"]("http11.send_request_headers.started", {})

    request = httpx.Request("POST", "http://localhost")
    with ExitStack() as stack:
        silent = _begun(stack, _Silent(store, LEASE_S, tmp_path))
        with pytest.raises(WorkerEndedError):
            create()


def test_a_worker_that_ends_waits_for_the_creation_in_hand_and_begins_no_other() -> None:
    tenure = Tenure()
    order: list[str] = []
    inside = threading.Event()

    def create() -> None:
        with tenure.creating():
            inside.set()
            time.sleep(0.2)
            order.append("created")

    thread = threading.Thread(target=create)
    thread.start()
    inside.wait(60)
    tenure.end(5)
    order.append("ended")
    thread.join(60)

    assert order == ["created", "ended"]
    with pytest.raises(WorkerEndedError), tenure.creating():
        order.append("never")


def test_a_home_of_one_worker_needs_no_lease(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    tenure = open_tenure(store, LEASE_S, tmp_path)
    tenure.begin()
    assert (tenure.leads, tenure.others, tenure.is_mine("any")) == (True, False, True)
    store.close()


def test_a_failure_of_any_kind_does_not_end_the_renewals(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew, failures = store_leases.renew, [exc.TimeoutError("no connection is free")]

    def fail_once(connection: Connection, worker_id: str, lease_s: float) -> bool:
        if failures and threading.current_thread().name == "lease":
            raise failures.pop()
        return renew(connection, worker_id, lease_s)

    monkeypatch.setattr(store_leases, "renew", fail_once)
    with ExitStack() as stack:
        tenure = _begun(stack, LeasedTenure(store, LEASE_S, tmp_path))
        until(lambda: not failures, 60)
        time.sleep(LEASE_S)

        with tenure.creating():
            pass
