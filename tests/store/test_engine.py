import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from benchmarks.postgres import empty_store_url
from grabient_ops.errors import StoreError
from grabient_ops.store.engine import SCHEMA_REVISION, Store, open_store
from grabient_ops.store.notes import get_note, set_note
from grabient_ops.store.tables import metadata

pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
RELEASED_SCHEMAS = [f"{number:04}" for number in range(1, int(SCHEMA_REVISION))]
_OPEN_AND_WRITE = """
import sys
from grabient_ops.store.engine import open_store
from grabient_ops.store.notes import set_note
store = open_store(sys.argv[1])
sys.stdin.readline()
for number in range(50):
    with store.write() as connection:
        set_note(connection, sys.argv[2], str(number))
"""


# What SQLAlchemy has no word for, or PostgreSQL is to decide: see store/changes.py and env.py.
_OF_MIGRATIONS = {"xid", "ix_changes_xid"}


def _structure(url: str) -> dict[str, object]:
    """Everything that decides how a database behaves, by table."""
    inspector = sa.inspect(sa.create_engine(url))
    return {
        table: (
            # In no order: a migration can add a column only at the end.
            {
                (c["name"], str(c["type"]).removesuffix(' COLLATE "C"'), c["nullable"])
                for c in inspector.get_columns(table)
                if c["name"] not in _OF_MIGRATIONS
            },
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (str(index["name"]), index["column_names"], index["unique"], _condition(index))
                for index in inspector.get_indexes(table)
                if index["name"] not in _OF_MIGRATIONS
            ),
            sorted(u["column_names"] for u in inspector.get_unique_constraints(table)),
        )
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def _condition(index: "sa.engine.interfaces.ReflectedIndex") -> str:
    """Without the casts that PostgreSQL shows."""
    options = index.get("dialect_options", {})
    condition = str(options.get("sqlite_where", options.get("postgresql_where", "")))
    return condition.replace("::text", "").strip("()")


def test_the_migrations_build_what_the_tables_say(store: Store, url: str, tmp_path: Path) -> None:
    assert store.url == sa.make_url(url).render_as_string()
    declared = empty_store_url(tmp_path)
    metadata.create_all(sa.create_engine(declared))

    assert _structure(url) == _structure(declared)
    assert set(_structure(url)) == set(metadata.tables)


def test_the_newest_migration_is_the_schema_revision() -> None:
    versions = files("grabient_ops.store.migrations.versions")
    newest = max(file.name for file in versions.iterdir() if file.name.endswith(".py"))

    assert newest.partition("_")[0] == SCHEMA_REVISION


@pytest.mark.parametrize("release", RELEASED_SCHEMAS)
def test_a_store_of_an_older_release_is_brought_forward_with_its_rows(
    release: str, tmp_path: Path
) -> None:
    url = empty_store_url(tmp_path)
    config = Config()
    config.set_main_option("script_location", "grabient_ops.store:migrations")
    with sa.create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, release)
    tables = sa.MetaData()
    with sa.create_engine(url).begin() as connection:
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if table.name != "alembic_version":
                connection.execute(sa.insert(table).values(_some_row(table)))

    for name in set(tables.tables) - {"alembic_version"}:
        with open_store(url).read() as connection:
            assert connection.execute(sa.select(metadata.tables[name])).one()


def _some_row(table: sa.Table) -> dict[str, object]:
    moment = "2026-11-22T00:00:00.000000+00:00"
    row: dict[str, object] = {}
    for column in table.columns:
        is_number = isinstance(column.type, sa.Integer | sa.BigInteger | sa.Boolean)
        is_moment = isinstance(column.type, sa.String) and column.type.length == 32
        is_bytes = isinstance(column.type, sa.LargeBinary)
        text: object = [] if isinstance(column.type, sa.JSON) else b"x" if is_bytes else "x"
        if column.name == "xid":
            continue
        row[column.name] = 1 if is_number else moment if is_moment else text
    return row


def test_opening_again_keeps_what_is_there(store: Store, url: str) -> None:
    with store.write() as connection:
        set_note(connection, "kept", "yes")

    with open_store(url).read() as connection:
        assert get_note(connection, "kept") == "yes"


def test_processes_that_open_a_fresh_home_at_once_all_succeed(url: str) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN_AND_WRITE, url, name],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in "abc"
    ]  # fmt: skip
    errors = [writer.communicate("go\n", timeout=60)[1] for writer in writers]

    assert errors == ["", "", ""]
    with open_store(url).read() as connection:
        assert [get_note(connection, name) for name in "abc"] == ["49", "49", "49"]


def test_a_store_of_a_newer_release_is_refused_with_a_sentence(store: Store, url: str) -> None:
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match=r"newer grabient-ops; install that release$"):
        open_store(url)


def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"GIF89a" * 1000)

    with pytest.raises(StoreError, match=r"store\.sqlite failed: file is not a database"):
        open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")


@pytest.mark.parametrize("url", ["nonsense", "oracle-of-delphi://host/db", "mysql+nodriver://h/d"])
def test_a_url_that_names_no_usable_database_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(StoreError, match="GRABIENT_OPS_DATABASE_URL"):
        open_store(url)


def test_a_password_in_the_url_is_never_shown() -> None:
    with pytest.raises(StoreError) as refused:
        open_store("mysql+nodriver://user:hunter2@host/db")

    assert "hunter2" not in str(refused.value)


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def write_and_fail() -> None:
        with store.write() as connection:
            set_note(connection, "half", "done")
            raise ValueError

    with pytest.raises(ValueError):
        write_and_fail()

    with store.read() as connection:
        assert get_note(connection, "half") is None


def test_a_reader_keeps_its_snapshot_and_blocks_no_writer(store: Store) -> None:
    with store.read() as snapshot:
        assert get_note(snapshot, "news") is None
        with store.write() as connection:
            set_note(connection, "news", "1")

        assert get_note(snapshot, "news") is None
    with store.read() as connection:
        assert get_note(connection, "news") == "1"
