"""The right to work: of the only worker of a home, or of one of many on a shared database.

On PostgreSQL a worker has a row and renews it. Who has not done so for a lease loses it, and with
it every write (`Store.guarded`); the others take its workflows over. The provider knows nothing
of that, so a batch is created only while the lease is certainly held, by a clock that goes on
while the process is stopped.
"""

import fcntl
import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from uuid import uuid4

import structlog
from sqlalchemy.engine import Connection
from typing_extensions import override

from grabient_ops import __version__
from grabient_ops.errors import StoreError
from grabient_ops.pipeline.services import utc_now
from grabient_ops.providers.gate import gated
from grabient_ops.store import leases
from grabient_ops.store.engine import Store

log = structlog.get_logger(__name__)
LEASE_S = 15.0
_CERTAIN = 0.8
_RENEWALS = 10
_RECHECK_S = 0.05
_LAST_RENEWAL_S = 5.0


class WorkerEndedError(BaseException):
    """This worker may not go on.

    Not an `Exception`: a step must not end by it, for the journal would keep that as its result.
    """


class Tenure:
    """The right of the only worker of a home, which has the lock of that home.

    Attributes:
        id: executor id in the journal.
        others: whether other workers may share the work.
    """

    def __init__(self) -> None:
        self.id = "worker"
        self.others = False
        self._changed = threading.Condition()
        self._creating = 0
        self._is_closed = False

    @property
    def leads(self) -> bool:
        """Whether this worker plans, delivers and looks after those that died."""
        return True

    @property
    def is_lost(self) -> bool:
        """Whether somebody else has taken over."""
        return False

    @property
    def members(self) -> Sequence[str]:
        """Ids of all workers."""
        return (self.id,)

    def begin(self) -> None:
        """Begin to work."""

    def find_dead(self, executors: Collection[str]) -> list[str]:
        """Return which executors, of workflows that are under way, are no workers any more."""
        return [executor for executor in executors if executor != self.id]

    def guard(self, connection: Connection) -> None:
        """Let a transaction go on only while there is a right to work."""

    def end(self, patience_s: float) -> None:
        """Let the creations in hand end, begin no other, and give up the right to work."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: self._creating == 0, patience_s)

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Enclose a creation at a provider, and the record of it.

        Raises:
            WorkerEndedError: this worker may create nothing any more.
        """
        with self._changed:
            if self._is_closed:
                raise WorkerEndedError
            self._creating += 1
        try:
            yield
        finally:
            with self._changed:
                self._creating -= 1
                self._changed.notify_all()

    def is_mine(self, batch_id: str) -> bool:
        """Whether this worker is the one to start a batch: each of the members starts a share."""

        def weight(worker_id: str) -> bytes:
            return hashlib.sha256(f"{worker_id}/{batch_id}".encode()).digest()

        return max(self.members, key=weight, default=None) == self.id


class LeasedTenure(Tenure):
    """The right of one of many workers, as long as it renews its lease."""

    def __init__(
        self, store: Store, lease_s: float, home: Path, on_change: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self._on_change = on_change
        self._locks = home / "workers"
        self._spool = home / "spool"
        self._lock: TextIOWrapper | None = None
        self.id = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.others = True
        self._store = store
        self._lease_s = lease_s
        self._members: tuple[str, ...] = ()
        self._certain_until = 0.0
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._seen: dict[str, tuple[float, float]] = {}
        self._looked_at = 0.0
        self._renewing = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)

    @property
    @override
    def leads(self) -> bool:
        """Whether nobody has been here for longer."""
        return bool(self._members) and self._members[0] == self.id

    @property
    @override
    def is_lost(self) -> bool:
        """Whether the lease was taken away."""
        return self._lost.is_set()

    @property
    @override
    def members(self) -> Sequence[str]:
        """Ids of all workers at the last look, the leader first."""
        return self._members

    @override
    def begin(self) -> None:
        """Join the workers, and renew the lease from a thread until `end`."""
        self._locks.mkdir(parents=True, exist_ok=True)
        # Kept open: the system gives the lock back when this process ends, however it ends.
        self._lock = self._lock_of(self.id).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        with self._store.write() as connection:
            leases.join(
                connection, self.id, socket.gethostname(), __version__, self._lease_s, utc_now()
            )
        self._renew()
        self._sweep()
        self._renewing.start()

    @override
    def find_dead(self, executors: Collection[str]) -> list[str]:
        """Ask the database now: who has joined since the last look lives."""
        with self._store.read() as connection:
            living = {lease.id for lease in leases.list_leases(connection)}
        return [executor for executor in executors if executor not in living]

    @override
    def guard(self, connection: Connection) -> None:
        """Keep the right to work until the transaction ends, or end this worker."""
        if not leases.hold(connection, self.id):
            self._lost.set()
            self._on_change()
            raise WorkerEndedError

    @override
    def end(self, patience_s: float) -> None:
        """End as the only worker does, and have the others take over at once."""
        super().end(patience_s)
        self._ended.set()
        if self._renewing.is_alive():
            self._renewing.join(_LAST_RENEWAL_S)
        with suppress(StoreError), self._store.write() as connection:
            leases.leave(connection, self.id)
        shutil.rmtree(self._spool / self.id, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    @override
    def creating(self) -> Iterator[None]:
        """Wait until the lease is certainly held, too: now, and whenever bytes are to be sent."""
        with super().creating():
            self._wait_for_certainty()
            with gated(self._wait_for_certainty):
                yield

    def _wait_for_certainty(self) -> None:
        while _clock() >= self._certain_until:
            # The database is not to be reached, or this process was stopped for a while.
            if self.is_lost or self._ended.wait(_RECHECK_S):
                raise WorkerEndedError

    def _keep_renewing(self) -> None:
        while not self._ended.wait(self._lease_s / _RENEWALS) and not self.is_lost:
            try:
                self._renew()
            except Exception as error:  # noqa: BLE001 - without this thread nothing is created
                log.warning("the lease was not renewed", error=str(error))

    def _renew(self) -> None:
        began = _clock()
        with self._store.write() as connection:
            if not leases.renew(connection, self.id, self._lease_s):
                self._lost.set()
                self._on_change()
                return
        self._certain_until = began + self._lease_s * _CERTAIN
        with self._store.read() as connection:
            seen = leases.list_leases(connection)
        ended = [lease.id for lease in seen if self._has_ended(lease.id)]
        silent = self._find_silent(seen)
        if ended or silent:
            with self._store.write() as connection:
                self.guard(connection)
                gone = leases.take_away(connection, ended, silent)
            if gone:
                log.warning("workers are gone", workers=gone)
            seen = [lease for lease in seen if lease.id not in gone]
        before, self._members = self._members, tuple(lease.id for lease in seen)
        if self._members != before:
            self._on_change()

    def _lock_of(self, worker_id: str) -> Path:
        return self._locks / f"{worker_id}.lock"

    def _has_ended(self, worker_id: str) -> bool:
        """Whether a worker of this home is certainly dead: nobody needs to wait for its lease."""
        if worker_id == self.id:
            return False
        try:
            with self._lock_of(worker_id).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _sweep(self) -> None:
        """Remove what workers of this home that are gone have left."""
        spools = self._spool.iterdir() if self._spool.exists() else ()
        for folder in spools:
            if not self._lock_of(folder.name).exists() or self._has_ended(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        for lock in self._locks.iterdir():
            if self._has_ended(lock.stem):
                lock.unlink(missing_ok=True)

    def _find_silent(self, seen: Sequence[leases.Lease]) -> list[str]:
        """Return whose lease has expired although the database was there to renew it.

        Our own clock must agree with the database's, which may jump, and after an outage everybody
        has a lease's time to come back.
        """
        now = _clock()
        if now - self._looked_at > self._lease_s / 2:
            self._seen.clear()
        self._looked_at = now
        before = self._seen
        self._seen = {
            lease.id: before[lease.id]
            if lease.id in before and before[lease.id][0] == lease.expires_at
            else (lease.expires_at, now)
            for lease in seen
        }
        return [
            lease.id
            for lease in seen
            if lease.is_expired and now - self._seen[lease.id][1] >= self._lease_s * _CERTAIN
        ]


def open_tenure(
    store: Store, lease_s: float, home: Path, on_change: Callable[[], None] = lambda: None
) -> Tenure:
    """Return the kind of right that a store needs.

    Args:
        store: the store.
        lease_s: silence after which a worker that shares it counts as dead.
        home: the folder of this worker, and perhaps of others on the same machine.
        on_change: called from any thread when workers have come or gone, or the right was lost.
    """
    return LeasedTenure(store, lease_s, home, on_change) if store.is_shared else Tenure()


def _clock() -> float:
    """Seconds that also pass while the process, or the machine, is stopped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
