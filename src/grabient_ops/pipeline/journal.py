"""The workflow journal (DBOS): how it is opened by the worker, and how others look into it."""

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig

from grabient_ops.pipeline.serializer import JournalSerializer, refuse_pickles

APPLICATION = "grabient-ops"
APPLICATION_VERSION = "ops-1"
"""Pinned: the default changes with the source of every workflow and strands those in flight."""
WORKFLOW_NAME = "batch"
_SQLITE_PRAGMAS = (
    "busy_timeout=30000",
    "foreign_keys=ON",
    "journal_mode=WAL",
    "synchronous=NORMAL",
)


def launch_journal(url: str) -> None:
    """Start DBOS in this process; workflows must be registered first.

    One process only: a second one would take over what the first is doing.
    """
    refuse_pickles()
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": url,
        "application_version": APPLICATION_VERSION,
        "executor_id": "worker",
        "serializer": JournalSerializer(),
        "log_level": "ERROR",
        "console_log_level": "CRITICAL",
        "notification_listener_polling_interval_sec": 0.5,
    }
    if url.startswith("sqlite"):
        config["system_database_engine"] = _journal_engine(url)
    else:
        config["sys_db_pool_size"] = 8
    DBOS(config=config)
    DBOS.launch()


def open_client(url: str) -> DBOSClient:
    """Open the journal from a process that runs no workflows."""
    refuse_pickles()
    if not url.startswith("sqlite"):
        return DBOSClient(system_database_url=url, serializer=JournalSerializer())
    return DBOSClient(
        system_database_url=url,
        system_database_engine=_journal_engine(url),
        serializer=JournalSerializer(),
    )


def _journal_engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_size=20, max_overflow=0)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
