"""The workflow journal (DBOS): how it is opened by the worker, and how others look into it."""

from collections.abc import Collection
from datetime import datetime
from importlib.util import find_spec

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig
from dbos._dbos import _get_dbos_instance
from dbos._sys_db import SystemDatabase
from dbos._utils import INTERNAL_QUEUE_NAME

from grabient_ops.errors import ConfigError, StoreError
from grabient_ops.pipeline.serializer import JournalSerializer, refuse_pickles
from grabient_ops.store.engine import POSTGRES_ARGS

APPLICATION = "grabient-ops"
APPLICATION_VERSION = "ops-1"
"""Pinned: the default changes with the source of every workflow and strands those in flight."""
TERMINAL = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_IDLE_S = 10.0
_SQLITE_PRAGMAS = (
    "busy_timeout=30000",
    "foreign_keys=ON",
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "cache_size=-256",
)


def launch_journal(url: str, otlp_url: str | None = None, executor_id: str = "worker") -> None:
    """Start DBOS in this process; workflows must be registered first.

    Args:
        url: of the journal.
        executor_id: no other process has the same: it would take over what this one is doing.
        otlp_url: root of the collector that gets a span of every workflow and step; None for none.

    Raises:
        ConfigError: the extra `otel` is not installed.
        StoreError: its database failed.
    """
    refuse_pickles()
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": url,
        "application_version": APPLICATION_VERSION,
        "executor_id": executor_id,
        "serializer": JournalSerializer(),
        "log_level": "ERROR",
        "console_log_level": "CRITICAL",
        "notification_listener_polling_interval_sec": 0.5,
    }
    if url.startswith("sqlite"):
        config["system_database_engine"] = _journal_engine(url)
    else:
        config["sys_db_pool_size"] = 8
        config["db_engine_kwargs"] = {"connect_args": {**POSTGRES_ARGS}}
        # A worker that is stopped in the middle of a transaction must not hold up the others.
        config["sys_db_idle_transaction_timeout_sec"] = _IDLE_S
    if otlp_url is not None:
        _trace(config, otlp_url)
    DBOS(config=config)
    try:
        DBOS.launch()
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        raise StoreError(f"the journal failed: {reason}") from error


@sa.event.listens_for(sa.Engine, "handle_error")
def _wait_for_the_server(context: sa.engine.ExceptionContext) -> None:
    """Have DBOS wait for a server that cannot be reached, instead of failing the workflow.

    It knows such errors by their text, and not all of psycopg's. The server itself always sends a
    code with what it says; without one, nobody has answered.
    """
    error = context.original_exception
    is_drivers = type(error).__module__.startswith("psycopg")
    is_operational = isinstance(context.sqlalchemy_exception, sa.exc.OperationalError)
    if is_drivers and is_operational and getattr(error, "sqlstate", None) is None:
        context.is_disconnect = True


def _trace(config: DBOSConfig, otlp_url: str) -> None:
    if find_spec("opentelemetry.exporter") is None:
        message = "GRABIENT_OPS_OTLP_URL is set, but the extra `otel` is not installed"
        raise ConfigError(message)
    config["enable_otlp"] = True
    config["otlp_traces_endpoints"] = [f"{otlp_url.rstrip('/')}/v1/traces"]
    config["otel_attribute_format"] = "semconv"


def requeue_work_of(executors: Collection[str]) -> int:
    """Put what executors that died were running where the living find it; return how many.

    For a worker, whose journal is launched.
    """
    return requeue(_get_dbos_instance()._sys_db, executors)  # noqa: SLF001 - a test pins it


def requeue(journal: SystemDatabase, executors: Collection[str]) -> int:
    """Do what DBOS does to one workflow at a time, which takes seconds for a thousand."""
    rows = journal.tables.workflow_status
    pending = (
        sa.update(rows)
        .where(rows.c.status == "PENDING", rows.c.executor_id.in_(executors))
        .where(rows.c.application_version == APPLICATION_VERSION)
        .values(
            status="ENQUEUED",
            owner_xid=None,
            started_at_epoch_ms=None,
            updated_at=journal._now_ms_sql(),  # noqa: SLF001 - a test pins it
            queue_name=sa.func.coalesce(rows.c.queue_name, INTERNAL_QUEUE_NAME),
        )
    )
    with journal.engine.begin() as connection:
        return connection.execute(pending).rowcount


def forget_ended(before: datetime) -> None:
    """Delete the workflows that ended before a moment; what they did is in the store."""
    while True:
        old = DBOS.list_workflows(
            status=TERMINAL,
            completed_before=before.isoformat(),
            limit=10,
            load_input=False,
            load_output=False,
        )
        if not old:
            return
        DBOS.delete_workflows([status.workflow_id for status in old])


def open_client(url: str) -> DBOSClient:
    """Open the journal from a process that runs no workflows; it may be the first to do so."""
    refuse_pickles()
    DBOS.migrate(url)
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
