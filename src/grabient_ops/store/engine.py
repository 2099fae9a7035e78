"""Opens the store: an engine for SQLite or PostgreSQL, and the schema brought up to date."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from grabient_ops.bell import Bell
from grabient_ops.errors import OutdatedError, StoreError
from grabient_ops.store.locks import begin_writing, lock

SCHEMA_REVISION = "0005"
"""The newest file in `migrations/versions`; a test keeps them equal."""

READ_ONLY = "read_only"
"""Execution option of connections that `Store.read` opens."""

_SQLITE_PRAGMAS = ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL")
POSTGRES_ARGS = {
    "connect_timeout": 10, "application_name": "grabient-ops",
    "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip
"""How every connection is made. A network that was cut without a word ends it within 30 s; by
itself, the system would wait for an answer for a quarter of an hour."""


class Store:
    """The operational store. Transactions begin here; the modules beside this one do the SQL.

    Each sees first whether the schema is still ours (OutdatedError): a newer release may have
    migrated the store while this process runs.

    Attributes:
        url: SQLAlchemy URL, password hidden.
    """

    def __init__(
        self, engine: Engine, guard: Callable[[Connection], None] = lambda _: None
    ) -> None:
        self._engine = engine
        self._guard = guard
        self._reader = _reader_of(engine)
        self.url = engine.url.render_as_string(hide_password=True)

    @property
    def is_shared(self) -> bool:
        """Whether several machines may work on it."""
        return self._engine.dialect.name == "postgresql"

    def guarded(self, guard: Callable[[Connection], None]) -> "Store":
        """Return the same store, where a guard looks first in every transaction that writes."""
        return Store(self._engine, guard)

    def bell(self) -> Bell:
        """Return what rings when somebody commits a change; a bell is for one thread."""
        return Bell(self._engine.url.render_as_string(hide_password=False))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end of the block, or rolls back on an exception.

        On SQLite it takes the write lock at once, so what it reads cannot change under it. On
        PostgreSQL only what it locks cannot (`store.locks`, `store.batches.load_batch`).
        """
        with _explained(self.url), self._engine.begin() as connection:
            begin_writing(connection)
            _refuse_other_schema(connection)
            self._guard(connection)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one consistent snapshot; it blocks nobody and is not for writing."""
        with _explained(self.url), self._reader.connect() as connection:
            _refuse_other_schema(connection)
            yield connection

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def open_store(url: str) -> Store:
    """Open the store at a SQLAlchemy URL, creating or migrating its schema.

    Raises:
        StoreError: the database cannot be reached, or was written by a newer release.
    """
    engine = _make_engine(url)
    with _explained(engine.url.render_as_string(hide_password=True)):
        if _revision(engine) != SCHEMA_REVISION:
            _migrate(engine)
    return Store(engine)


def _make_engine(url: str) -> Engine:
    try:
        parsed = sa.engine.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _make_sqlite_engine(parsed)
        return sa.create_engine(
            parsed,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            max_overflow=40,
            json_serializer=_to_json,
            connect_args=POSTGRES_ARGS,
        )
    except (sa.exc.ArgumentError, ImportError) as error:
        message = "GRABIENT_OPS_DATABASE_URL names no database that can be used here"
        raise StoreError(f"{message}; write one such as postgresql+psycopg://host/db") from error


def _make_sqlite_engine(url: sa.URL) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, pool_size=8, max_overflow=40, json_serializer=_to_json)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _reader_of(engine: Engine) -> Engine:
    """The same connections, for transactions that only read, each in one snapshot."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{READ_ONLY: True})
    return engine.execution_options(
        **{READ_ONLY: True}, isolation_level="REPEATABLE READ", postgresql_readonly=True
    )


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()


def _prepare_sqlite(connection: SqliteConnection, _record: object) -> None:
    # The driver's own BEGIN is deferred, so a read before the first write would not be protected.
    connection.isolation_level = None
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _refuse_other_schema(connection: Connection) -> None:
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found != SCHEMA_REVISION:
        message = "another release has migrated the store while this process ran"
        raise OutdatedError(f"{message}; install that release and start again")


def _revision(engine: Engine) -> str | None:
    with _reader_of(engine).connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "grabient_ops.store:migrations")
    # The lock is taken before Alembic looks, so two first starts cannot migrate at once.
    with engine.begin() as connection:
        lock(connection, "schema")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            message = "the store was written by a newer grabient-ops; install that release"
            raise StoreError(message) from error


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        # SQLite's driver has no narrower class for a file that is no database; a PostgreSQL that
        # has become a copy of another, and takes no writes, says so by an internal error.
        failed = type(error) in {
            sa.exc.OperationalError, sa.exc.DatabaseError, sa.exc.InternalError
        }  # fmt: skip
        if not failed and not error.connection_invalidated:
            raise
        reason = str(error.orig).partition("\n")[0]
        raise StoreError(f"the store {url} failed: {reason}") from error
