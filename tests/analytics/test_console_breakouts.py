"""A hundred ways out of the SQL console: none leads anywhere, and each ends in time.

Whatever is tried, the lake and its neighbours stay as they were, byte for byte, and nothing that
is outside of it is in what comes back.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from grabient_ops.analytics.console import (
    Limits,
    QueryFailedError,
    QueryRefusedError,
    Table,
    run_confined,
)

SECRET = "sk-secret-of-the-house"
USUAL = Limits(timeout_s=20, memory_mb=256)
TIGHT = Limits(timeout_s=1.5, memory_mb=256)

REFUSED = {
    # What writes.
    "copy over a file of the lake": "COPY (SELECT 1) TO '{lake}/tags.parquet'",
    "copy in place, which truncates": "COPY (SELECT 1) TO '{lake}/tags.parquet' (USE_TMP_FILE 0)",
    "copy a new file": "COPY (SELECT 1) TO '{lake}/new.parquet'",
    "copy elsewhere": "COPY (SELECT 1) TO '{outside}/new.csv'",
    "a forged write-ahead log": r"COPY (SELECT '\x00'::BLOB) TO '{lake}/x.db.wal' (FORMAT blob)",
    "copy from": "COPY tags FROM '{outside}/secret.txt'",
    "export": "EXPORT DATABASE '{lake}/export'",
    "import": "IMPORT DATABASE '{outside}'",
    "insert": "INSERT INTO tags VALUES (1, 'x')",
    "update": "UPDATE tags SET tag = 'PWNED'",
    "delete": "DELETE FROM tags",
    "merge": "MERGE INTO tags USING tags AS t ON true WHEN MATCHED THEN DELETE",
    "create table": "CREATE TABLE x AS SELECT 1",
    "create temporary table": "CREATE TEMP TABLE x AS FROM tags",
    "create macro": "CREATE MACRO f() AS 1",
    "create secret": "CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "replace a view": "CREATE OR REPLACE VIEW tags AS SELECT 1",
    "drop": "DROP VIEW tags",
    "alter": "ALTER VIEW tags RENAME TO x",
    "truncate": "TRUNCATE tags",
    "vacuum": "VACUUM",
    "checkpoint": "CHECKPOINT",
    "begin": "BEGIN TRANSACTION",
    # What changes the database itself.
    "attach a file": "ATTACH '{lake}/x.db'",
    "attach memory": "ATTACH ':memory:' AS m",
    "detach": "DETACH memory",
    "use": "USE temp",
    "install": "INSTALL httpfs",
    "install from a folder": "INSTALL '{lake}/x.duckdb_extension'",
    "load": "LOAD '{lake}/x.duckdb_extension'",
    "set external access": "SET enable_external_access = true",
    "set memory": "SET memory_limit = '100GB'",
    "reset": "RESET enable_external_access",
    "set variable": "SET VARIABLE x = 1",
    "pragma": "PRAGMA database_list",
    "pragma that sets": "PRAGMA enable_profiling",
    "pragma that writes": "PRAGMA profiling_output = '{lake}/profile'",
    "call": "CALL pragma_version()",
    "prepare": "PREPARE p AS SELECT 1",
    "execute": "EXECUTE p",
    # What is not what it looks like.
    "explain analyze copy": "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/tags.parquet'",
    "explain": "EXPLAIN SELECT 1",
    "pivot that makes a type": "PIVOT tags ON tag USING count(id)",
    "two statements": "SELECT 1; COPY (SELECT 1) TO '{lake}/new.parquet'",
    "two statements, the bad one first": "DROP VIEW tags; SELECT 1",
    "two statements around comments": "SELECT 1 /* ; */ ; -- SELECT\nDROP VIEW tags",
    "nested comment": "/* /* */ SELECT 1 */ DROP VIEW tags",
    "a string that does not end the text": "SELECT ';' ; DROP VIEW tags -- '",
    "statement with a byte order mark": "\ufeffDROP VIEW tags",
    "NUL character": "SELECT 1 \0; DROP VIEW tags",
    "too long": "SELECT 1 --" + "x" * 20_000,
}  # fmt: skip
"""Statements that are turned away before they run."""

BLOCKED = {
    # 2.x calls these SELECT.
    "copy in a CTE": "WITH x AS (COPY tags TO '{lake}/new.parquet') SELECT * FROM x",
    "insert in a CTE": "WITH x AS (INSERT INTO tags VALUES (1, 'x') RETURNING *) FROM x",
    "delete in a CTE": "WITH x AS (DELETE FROM tags RETURNING *) SELECT * FROM x",
    "copy in a query given as text": "FROM query('COPY tags TO ''{lake}/new.parquet''')",
    "copy in a CTE given as text":
        "FROM query('WITH x AS (COPY tags TO ''{lake}/new.parquet'') SELECT * FROM x')",
    "two statements given as text": "FROM query('SELECT 1; DROP VIEW tags')",
    "serialized statement": "FROM json_execute_serialized_sql('{{\"statements\": []}}')",
    "homoglyphs": "\u0421OPY (SELECT 1) TO '{lake}/new.parquet'",
    "full-width letters": "\uff33\uff25\uff2c\uff25\uff23\uff34 1",
    "full-width semicolon": "SELECT 1\uff1b DROP VIEW tags",
    "closing our parenthesis": "SELECT 1) AS x; DROP VIEW tags; SELECT (2",
    # Reading what is not the lake.
    "password file": "FROM read_text('/etc/passwd')",
    "a file outside": "FROM read_text('{outside}/secret.txt')",
    "a file outside, as bytes": "FROM read_blob('{outside}/secret.txt')",
    "a file outside, by its name": "FROM '{outside}/secret.csv'",
    "a table outside": "FROM read_csv('{outside}/secret.csv')",
    "a guess outside": "FROM sniff_csv('{outside}/secret.csv')",
    "Parquet outside": "FROM read_parquet('{outside}/secret.parquet')",
    "JSON outside": "FROM read_json('{outside}/secret.json')",
    "names outside": "SELECT * FROM glob('{outside}/*')",
    "names everywhere": "SELECT * FROM glob('/**/secret*')",
    "up and over": "FROM read_text('{lake}/../outside/secret.txt')",
    "a link in the lake": "FROM read_text('{lake}/link.txt')",
    "a link in the lake to a folder": "FROM read_text('{lake}/folder/secret.txt')",
    "Parquet behind a link": "FROM read_parquet('{lake}/folder/*.parquet')",
    "metadata outside": "FROM parquet_metadata('{outside}/secret.parquet')",
    "a neighbour with the same beginning": "FROM read_text('{lake}-too/secret.txt')",
    "file URL": "FROM read_text('file://{outside}/secret.txt')",
    "our parent's environment": "FROM read_text('/proc/{parent}/environ')",
    "the first process's environment": "FROM read_text('/proc/1/environ')",
    "our own environment": "FROM read_text('/proc/self/environ')",
    "our own memory map": "FROM read_text('/proc/self/maps')",
    "our own input": "FROM read_text('/dev/stdin')",
    "an open file": "FROM read_text('/proc/self/fd/0')",
    "endless file": "FROM read_csv('/dev/zero')",
    "random file": "FROM read_blob('/dev/urandom')",
    "web page": "FROM read_csv('http://127.0.0.1:9/x.csv')",
    "bucket": "FROM read_parquet('s3://bucket/x.parquet')",
    "hub": "FROM 'hf://datasets/x/y.parquet'",
    "web address by its name": "FROM 'https://127.0.0.1:9/x.json'",
    "environment variable": "SELECT getenv('OPENAI_API_KEY')",
    "a variable of the program": "FROM job",
    "a module of the program": "FROM sys",
    "another database": "FROM sqlite_scan('{outside}/store.sqlite', 'palettes')",
    "a server": "FROM postgres_scan('host=127.0.0.1', 'public', 'palettes')",
    "which secret": "FROM which_secret('s3://bucket', 's3')",
    "secrets": "FROM duckdb_secrets()",
    "extensions": "FROM duckdb_extensions()",
}  # fmt: skip
"""Statements that fail, or are refused, at the latest when they run."""

EXHAUSTING = {
    "one long text": "SELECT repeat('x', 4000000000)",
    "many long texts": "SELECT list(repeat('x', 10000000) || i) FROM range(1000) AS t(i)",
    "padding": "SELECT lpad('x', 2000000000, 'y')",
    "format": "SELECT format('{{:2000000000d}}', 1)",
    "replace": "SELECT replace(repeat('x', 100000), 'x', repeat('y', 100000))",
    "long list": "SELECT range(1000000000)",
    "wide sort":
        "SELECT sum(r) FROM (SELECT i * row_number() OVER (ORDER BY hash(i)) AS r"
        " FROM range(400000000) AS t(i))",
    "many groups": "SELECT i, count(*) FROM range(1000000000) AS t(i) GROUP BY i",
    "cross join": "SELECT count(*) FROM range(10000000) AS a, range(10000000) AS b",
    "edit distance": "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "endless recursion":
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "growing recursion":
        "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) FROM t",
    "regular expression":
        "SELECT sum(length(regexp_replace(repeat('ab', 1000000), '(a|b)*?c', i::VARCHAR)))"
        " FROM range(1000000) AS t(i)",
    "exploding names":
        "WITH a0 AS (VALUES (1)), "
        + ", ".join(f"a{i} AS (FROM a{i - 1} AS l, a{i - 1} AS r)" for i in range(1, 26))
        + " FROM a25",
    "many unions": "SELECT count(*) FROM (" + "FROM tags UNION ALL " * 990 + "FROM tags) AS a,"
        " range(1000000)",
    "nested subqueries": "SELECT " + "(SELECT " * 1_200 + "1" + ")" * 1_200,
    "nested lists": "SELECT " + "[" * 9_000 + "1" + "]" * 9_000,
    "long sum": "SELECT " + "1+" * 9_000 + "1",
    "many nots": "SELECT " + "NOT " * 4_900 + "true",
    "sleep": "SELECT sleep_ms(60000)::VARCHAR",
}  # fmt: skip
"""Statements that want more time or memory than there is."""

HARMLESS = {
    "settings": "SELECT * FROM duckdb_settings()",
    "databases": "SELECT * FROM duckdb_databases()",
    "definitions of the views": "SELECT * FROM duckdb_views()",
    "temporary files": "SELECT * FROM duckdb_temporary_files()",
    "names in the lake": "SELECT * FROM glob('{lake}/*')",
    "a query given as text": "FROM query('SELECT 1')",
    "a table by its name": "FROM query_table('tags') LIMIT 3",
    "one version": "SELECT version(), current_database(), current_setting('home_directory')",
    "markup": "SELECT '<script>alert(1)</script>'",
}
"""Statements that may run: they show nothing that the person may not see."""


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt."""

    result: Table | QueryRefusedError | QueryFailedError
    elapsed_s: float


@dataclass(frozen=True)
class House:
    """A lake, and a folder with secrets beside it."""

    lake: Path
    outside: Path

    def contents(self) -> dict[str, tuple[bytes, int]]:
        """Every file there is, with its bytes and the time of its last change."""
        files = (path for path in self.lake.parent.rglob("*") if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    def attempt(self, sql: str, limits: Limits = USUAL) -> Outcome:
        names = {"lake": self.lake, "outside": self.outside, "parent": os.getpid()}
        view = f"CREATE VIEW tags AS FROM read_parquet(['{self.lake / 'tags.parquet'}'])"
        started = time.monotonic()
        try:
            result: Table | QueryRefusedError | QueryFailedError = run_confined(
                self.lake, [view], sql.format(**names), limits=limits
            )
        except (QueryRefusedError, QueryFailedError) as error:
            result = error
        return Outcome(result, time.monotonic() - started)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    root = tmp_path_factory.mktemp("house")
    lake, outside, neighbour = root / "lake", root / "outside", root / "lake-too"
    for folder in (lake, outside, neighbour):
        folder.mkdir()
    for path in (outside / "secret.txt", outside / "secret.csv", neighbour / "secret.txt"):
        path.write_text(f"key\n{SECRET}\n")
    (outside / "secret.json").write_text(f'{{"key": "{SECRET}"}}')
    (outside / "store.sqlite").write_text(SECRET)
    with duckdb.connect() as connection:
        for path, sql in (
            (outside / "secret.parquet", f"SELECT '{SECRET}' AS key"),
            (lake / "tags.parquet", "SELECT i AS id, 'tag ' || i AS tag FROM range(99) AS t(i)"),
        ):
            connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
    (lake / "link.txt").symlink_to(outside / "secret.txt")
    (lake / "folder").symlink_to(outside)
    return House(lake, outside)


@pytest.fixture(scope="module")
def outcomes(house: House) -> Iterator[dict[str, Future[Outcome]]]:
    """Every attempt, two at a time, while the parent has a key in its environment."""
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setenv("OPENAI_API_KEY", SECRET)
        before = house.contents()
        attempts = {**REFUSED, **BLOCKED, **HARMLESS}
        submitted = {name: pool.submit(house.attempt, sql) for name, sql in attempts.items()}
        for name, sql in EXHAUSTING.items():
            submitted[name] = pool.submit(house.attempt, sql, TIGHT)
        yield submitted
        pool.shutdown(wait=True)
        assert house.contents() == before


@pytest.mark.parametrize("name", REFUSED)
def test_the_statement_is_refused(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()

    assert isinstance(outcome.result, QueryRefusedError), outcome
    assert "\n" not in str(outcome.result)


@pytest.mark.parametrize("name", BLOCKED)
def test_the_attempt_leads_nowhere(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()

    assert isinstance(outcome.result, QueryRefusedError | QueryFailedError), outcome
    assert "\n" not in str(outcome.result)
    assert SECRET not in str(outcome.result)
    assert outcome.elapsed_s < USUAL.timeout_s


@pytest.mark.parametrize("name", EXHAUSTING)
def test_the_machine_is_not_used_up(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()

    assert isinstance(outcome.result, QueryFailedError), outcome
    assert "\n" not in str(outcome.result)
    assert outcome.elapsed_s < TIGHT.timeout_s + 2


@pytest.mark.parametrize("name", HARMLESS)
def test_what_may_be_asked_shows_no_secret(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()

    assert isinstance(outcome.result, Table), outcome
    assert SECRET not in str(outcome.result)


def test_nothing_in_the_lake_or_beside_it_has_changed(
    house: House, outcomes: dict[str, Future[Outcome]]
) -> None:
    for outcome in outcomes.values():
        outcome.result()

    files = {Path(path).name for path in house.contents()}
    assert files == {
        "tags.parquet", "link.txt", "secret.txt", "secret.csv", "secret.json", "secret.parquet",
        "store.sqlite",
    }  # fmt: skip
    after = house.attempt("SELECT count(*), min(tag) FROM tags").result
    assert isinstance(after, Table)
    assert after.rows == [[99, "tag 0"]]
