"""Locks for decisions that rest on many rows: one transaction at a time takes such a decision."""

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

Decision = Literal["schema", "spending", "endings", "imports", "workers", "creations"]
_NUMBERS: dict[Decision, int] = {
    "schema": 1,
    "spending": 2,
    "endings": 3,
    "imports": 4,
    "workers": 5,
    "creations": 6,
}
_SILENCE = "60s"
_SPACE = 0x67726162  # "grab": apart from the advisory locks of others in the same database


def lock(connection: Connection, decision: Decision) -> None:
    """Let nobody else take such a decision until the transaction ends; call it first.

    On SQLite the write transaction does that by itself.
    """
    if connection.dialect.name == "postgresql":
        number = _NUMBERS[decision]
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SPACE, number)))


def begin_writing(connection: Connection) -> None:
    """Have a migration, which locks "schema", wait until the transaction ends.

    It also ends after `_SILENCE` without a word: a process that is stopped in the middle (Ctrl-Z)
    must not keep for ever what it has locked.
    """
    if connection.dialect.name == "postgresql":
        kept = sa.func.pg_advisory_xact_lock_shared(_SPACE, _NUMBERS["schema"])
        timed = sa.func.set_config("idle_in_transaction_session_timeout", _SILENCE, sa.true())
        connection.execute(sa.select(kept, timed))
