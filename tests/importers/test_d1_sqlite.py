import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from grabient_ops.errors import InputError
from grabient_ops.importers.d1.choice import Choice
from grabient_ops.importers.d1.reading import read_d1
from grabient_ops.importers.values import (
    ImportedPalette,
    Progressed,
    Record,
    Refused,
)
from tests.importers.conftest import D1, SEEDS, TAGS, answers, site, tag_row

ALL = Choice(everything=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def read(path: Path, choice: Choice = ALL) -> list[Record]:
    return [item for item in read_d1(path, choice) if not isinstance(item, Progressed)]


def test_a_database_file_gives_what_its_dump_gives(
    database: sqlite3.Connection, path: Path, dump: Path
) -> None:
    rows = [tag_row(1), tag_row(2, tags='{\n"mood": ["凉", "a\\nb"]\n}'), tag_row(3, error="é")]
    database.executescript(site().bytes().decode())
    # Not by the dump: SQLite would make line ends of all marks.
    database.executemany("INSERT INTO palette_tags VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    from_file, from_dump = read(path, Choice()), read(site(*rows).write(dump), Choice())

    assert [item.source_id for item in answers(from_file)] == [
        item.source_id for item in answers(from_dump)
    ]
    seeds = [item.palette.seed for item in from_file if isinstance(item, ImportedPalette)]
    assert seeds == SEEDS[:3]


def test_rows_that_are_still_in_the_log_beside_the_file_are_read(
    database: sqlite3.Connection, path: Path
) -> None:
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.executescript(site(tag_row(1)).bytes().decode())

    assert path.with_name("db.sqlite-wal").stat().st_size > 0
    assert len(answers(read(path))) == 1


def test_the_file_is_not_changed_and_nothing_appears_beside_it(
    database: sqlite3.Connection, path: Path
) -> None:
    database.executescript(site(tag_row(1)).bytes().decode())
    database.close()
    before = path.read_bytes()

    read(path)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "harmful",
    [
        "CREATE VIEW palette_tags AS WITH n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT 1",
        "CREATE TABLE palette_tags (seed text, tags text AS (hex(zeroblob(100000000))))",
        "CREATE VIRTUAL TABLE palette_tags USING fts5(seed, tags)",
    ],
    ids=["view", "generated", "virtual"],
)
def test_what_the_file_defines_is_never_run(
    harmful: str, database: sqlite3.Connection, path: Path
) -> None:
    database.execute("CREATE TABLE likes (palette_id text, user_id text)")
    database.execute(harmful)

    assert answers(read(path)) == []


def test_a_cell_larger_than_any_of_d1_stops_the_import_with_a_sentence(
    database: sqlite3.Connection, path: Path
) -> None:
    database.executescript(D1().table("palette_tags", TAGS).bytes().decode())
    database.execute("INSERT INTO palette_tags (seed, tags) VALUES ('a', zeroblob(20000000))")

    with pytest.raises(InputError, match=r"cannot be read as SQLite: string or blob too big"):
        read(path)


def test_a_text_that_is_no_utf8_costs_its_own_row(database: sqlite3.Connection, path: Path) -> None:
    database.executescript(site(tag_row(1), tag_row(2)).bytes().decode())
    database.execute("UPDATE palette_tags SET error = CAST(x'ff' AS TEXT) WHERE id = 'pt1'")

    records = read(path)

    assert [item.extra["id"] for item in answers(records)] == ["pt2"]
    (refused,) = [item for item in records if isinstance(item, Refused)]
    assert refused.place.line == 1


def test_a_damaged_file_is_refused_with_a_sentence(
    database: sqlite3.Connection, path: Path
) -> None:
    dump = site(*map(tag_row, range(1, 400))).bytes().decode()
    database.executescript(f"BEGIN; {dump} COMMIT;")
    database.close()
    content = bytearray(path.read_bytes())
    content[4096 * 8 : 4096 * 16] = b"\xff" * 4096 * 8
    path.write_bytes(content)

    with pytest.raises(InputError, match="cannot be read as SQLite"):
        read(path)


def test_a_name_that_is_hostile_is_only_a_name(database: sqlite3.Connection, path: Path) -> None:
    database.executescript(site().table('x"; DROP TABLE likes; --', ["a"], ["b"]).bytes().decode())

    assert read(path)
    assert database.execute("SELECT count(*) FROM likes").fetchone() == (5,)
