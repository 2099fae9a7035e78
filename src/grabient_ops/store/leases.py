"""Who works on a shared database: one row per worker, which its lease keeps (PostgreSQL only).

The row itself is the right to work: every transaction of a worker holds on to it, and whoever
takes over deletes it first. So nothing that a dead worker began can commit after that.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.locks import lock
from grabient_ops.store.tables import workers

_CLOCK = sa.func.date_part("epoch", sa.func.clock_timestamp())
_LONGEST_NAME = 63
_sessions = sa.table(
    "pg_stat_activity", sa.column("pid"), sa.column("application_name"), sa.column("datname")
)


class Lease(NamedTuple):
    """A worker as all others see it.

    Attributes:
        id: the worker's, and its executor id in the journal.
        expires_at: of the last renewal, by the database's clock.
        is_expired: whether that moment has passed.
    """

    id: str
    expires_at: float
    is_expired: bool


def join(
    connection: Connection, worker_id: str, host: str, release: str, lease_s: float, at: datetime
) -> None:
    """Give a worker the right to work; it comes after all who have it already."""
    # Numbers become visible in their order, or two workers might each think that they lead.
    lock(connection, "workers")
    number = sa.select(sa.func.coalesce(sa.func.max(workers.c.number), 0) + 1).scalar_subquery()
    connection.execute(
        sa.insert(workers).values(
            id=worker_id,
            number=number,
            host=host,
            release=release,
            expires_at=_CLOCK + lease_s,
            started_at=at,
        )
    )


def renew(connection: Connection, worker_id: str, lease_s: float) -> bool:
    """Prolong a lease; False when it has been taken away."""
    mine = sa.update(workers).where(workers.c.id == worker_id)
    renewal = mine.values(expires_at=_CLOCK + lease_s).returning(_named_after(worker_id))
    return connection.execute(renewal).first() is not None


def list_leases(connection: Connection) -> list[Lease]:
    """Return all workers, the leader first."""
    query = sa.select(workers.c.id, workers.c.expires_at, workers.c.expires_at < _CLOCK)
    return [Lease(*row) for row in connection.execute(query.order_by(workers.c.number))]


def hold(connection: Connection, worker_id: str) -> bool:
    """Have a worker's right last until the transaction ends; False when it has none."""
    query = sa.select(_named_after(worker_id)).where(workers.c.id == worker_id)
    return connection.execute(query.with_for_update(key_share=True)).first() is not None


def take_away(connection: Connection, ended: Collection[str], silent: Collection[str]) -> list[str]:
    """End the right of workers; return of whom.

    Those in the middle of a transaction are left for the next time; who is silent loses it.

    Args:
        connection: an open transaction.
        ended: their processes are known to be gone.
        silent: only if their lease has expired.
    """
    expired = sa.and_(workers.c.id.in_(silent), workers.c.expires_at < _CLOCK)
    query = sa.select(workers.c.id).where(sa.or_(workers.c.id.in_(ended), expired))
    found = list(connection.execute(query.with_for_update(skip_locked=True)).scalars())
    connection.execute(sa.delete(workers).where(workers.c.id.in_(found)))
    in_the_middle = sa.select(sa.func.right(workers.c.id, _LONGEST_NAME)).where(expired)
    connection.execute(
        sa.select(sa.func.pg_terminate_backend(_sessions.c.pid)).where(
            _sessions.c.application_name.in_(in_the_middle),
            _sessions.c.datname == sa.func.current_database(),
        )
    )
    return found


def leave(connection: Connection, worker_id: str) -> None:
    """Give up one's own right; others take over at once."""
    connection.execute(sa.delete(workers).where(workers.c.id == worker_id))


def _named_after(worker_id: str) -> sa.Function[str]:
    """Show all others whose transaction this is, until it ends.

    A process that is stopped in the middle of one keeps what it has locked, for ever.
    """
    name = worker_id[-_LONGEST_NAME:]
    return sa.func.set_config("application_name", name, sa.true())
