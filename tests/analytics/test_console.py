"""What a person gets from the SQL console: every value whole, every limit said."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grabient_ops.analytics import _console_child, landlock
from grabient_ops.analytics.console import (
    Limits,
    QueryFailedError,
    QueryRefusedError,
    Table,
    run_confined,
    run_query,
)
from grabient_ops.analytics.manifest import Manifest, write_manifest
from grabient_ops.analytics.warehouse import EmptyLakeError

ROWS = 3000
_SLOW = "levenshtein(repeat('a', 300000), repeat('b', 300000))"
EMPTY_LAKE_VIEWS = (
    "answers", "facts", "lake_info", "models", "palettes", "prompts", "responses", "tags", "votes",
)  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (FROM range({ROWS}) AS t(i) SELECT i AS id, '凉 ' || i AS tag)"
            f" TO '{folder / 'tags.parquet'}' (FORMAT parquet)"
        )
    return folder


def ask(lake: Path, sql: str, limits: Limits | None = None) -> Table:
    view = f"CREATE VIEW tags AS FROM read_parquet(['{lake / 'tags.parquet'}'])"
    return run_confined(lake, [view], sql, limits=limits)


def value(lake: Path, expression: str) -> object:
    ((found,),) = ask(lake, f"SELECT {expression}").rows
    return found


def test_a_query_gives_columns_types_and_rows(lake: Path) -> None:
    table = ask(lake, "SELECT id, tag, id AS id FROM tags ORDER BY tags.id DESC LIMIT 2")

    assert table.columns == ["id", "tag", "id"]
    assert table.types == ["BIGINT", "VARCHAR", "BIGINT"]
    assert table.rows == [[2999, "凉 2999", 2999], [2998, "凉 2998", 2998]]
    assert not table.truncated
    assert 0 < table.elapsed_s < Limits().timeout_s


@pytest.mark.parametrize(("rows", "truncated"), [(5, True), (ROWS - 1, True), (ROWS, False)])
def test_more_rows_than_the_limit_are_left_out_and_it_is_said(
    lake: Path,
    rows: int,
    truncated: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    table = ask(lake, "FROM tags ORDER BY id", Limits(rows=rows))

    assert [row[0] for row in table.rows] == list(range(rows))
    assert table.truncated is truncated


def test_a_question_without_end_is_cut_at_the_limit_of_rows(lake: Path) -> None:
    table = ask(lake, "SELECT * FROM range(1_000_000_000_000)")

    assert len(table.rows) == Limits().rows
    assert table.truncated


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("NULL", None),
        ("true", True),
        ("170141183460469231731687303715884105727::HUGEINT", 2**127 - 1),
        ("18446744073709551615::UBIGINT", 2**64 - 1),
        ("1.50", 1.5),
        ("0.1::DOUBLE + 0.2::DOUBLE", 0.30000000000000004),
        ("12345678901234567890.123456789::DECIMAL(38,9)", "12345678901234567890.123456789"),
        ("'nan'::DOUBLE", "NaN"),
        ("'-inf'::FLOAT", "-Infinity"),
        (r"'\xAB\x00'::BLOB", r"\xAB\x00"),
        ("TIMESTAMP '2026-11-22 10:00:00.5'", "2026-11-22 10:00:00.5"),
        ("TIMESTAMPTZ '2026-11-22 10:00:00+02'", "2026-11-22 08:00:00+00"),
        ("'infinity'::TIMESTAMP", "infinity"),
        ("DATE '5000000-01-01'", "5000000-01-01"),
        ("INTERVAL 3 months", "3 months"),
        ("['a', NULL, 'b']", ["a", None, "b"]),
        ("{'a': [1.5, 'nan'::DOUBLE], 'b': {'c': 凉}} FROM (SELECT '凉' AS 凉)",
         {"a": [1.5, "NaN"], "b": {"c": "凉"}}),
        ("MAP {1: 'x', 2: 'y'}", {"1": "x", "2": "y"}),
        ("'[1, {\"a\": null}]'::JSON", [1, {"a": None}]),
        ("'a'::ENUM ('a', 'b')", "a"),
        ("chr(0) || chr(10) || chr(13) || '\u2028'", "\0\n\r\u2028"),
    ],
)  # fmt: skip
def test_every_kind_of_value_arrives_whole(lake: Path, expression: str, expected: object) -> None:
    found = value(lake, expression)

    assert found == expected
    assert json.loads(json.dumps(found, allow_nan=False)) == expected


@settings(max_examples=8)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=9))
def test_any_text_comes_back_as_it_was_asked(lake: Path, texts: list[str]) -> None:
    # NUL ends SQL text, wherever it stands.
    texts = [text.replace("\0", "") for text in texts]
    literals = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)

    assert value(lake, f"[{literals}]") == texts


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) AS n FROM tags",
        "select count(*) as n from tags; -- done",
        "-- how many; really\nSELECT count(*) AS n /* ; */ FROM tags;;",
        "WITH t AS (FROM tags) SELECT count(*) AS n FROM t",
        "SELECT count(*) FILTER (WHERE tag LIKE '凉%') AS n FROM tags",
        "SELECT n FROM (SELECT count(*) AS n FROM tags UNION ALL SELECT 0) WHERE n > 0",
        "PIVOT (SELECT 'n' AS name, id FROM tags) ON name IN ('n') USING count(id)",
        "SELECT row_number() OVER (ORDER BY id) AS n FROM tags QUALIFY n = 3000",
        "SELECT count(*) AS n FROM tags WHERE id >= 0" + " OR id = 1" * 1000,
    ],
)
def test_ordinary_sql_works(lake: Path, sql: str) -> None:
    table = ask(lake, sql)

    assert table.columns == ["n"]
    assert table.rows == [[ROWS]]


@pytest.mark.parametrize(
    ("sql", "first"),
    [("SHOW TABLES", "tags"), ("DESCRIBE tags", "id"), ("SUMMARIZE tags", "id")],
)
def test_the_views_can_be_looked_at(lake: Path, sql: str, first: str) -> None:
    assert ask(lake, sql).rows[0][0] == first


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT nothing FROM tags", '"nothing" not found'),
        ("SELECT * FROM elsewhere", "elsewhere does not exist"),
        ("SELECT tag::INTEGER FROM tags", "Could not convert string"),
        ("SELECT CASE WHEN id > 2900 THEN tag::INTEGER ELSE 0 END FROM tags", "'凉 2901'"),
        ("SELECT $1", "parameter"),
    ],
)
def test_wrong_sql_fails_with_one_line(lake: Path, sql: str, sentence: str) -> None:
    with pytest.raises(QueryFailedError) as raised:
        ask(lake, sql, Limits(rows=ROWS))

    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("sql", ["", " ", "-- nothing", "SELECT 1; SELECT 2", "EXPLAIN SELECT 1"])
def test_what_is_not_one_select_is_refused(lake: Path, sql: str) -> None:
    with pytest.raises(QueryRefusedError):
        ask(lake, sql)


def test_a_statement_of_more_than_20_kb_is_refused(lake: Path) -> None:
    assert value(lake, "'" + "x" * 19_000 + "'") == "x" * 19_000
    with pytest.raises(QueryRefusedError, match="20,000"):
        value(lake, "'" + "凉" * 6_700 + "'")


def test_half_a_character_is_refused(lake: Path) -> None:
    with pytest.raises(QueryRefusedError, match="Unicode"):
        value(lake, "'\ud800'")


def test_an_answer_over_the_limit_of_bytes_fails(lake: Path) -> None:
    with pytest.raises(QueryFailedError, match="too large"):
        ask(lake, "SELECT repeat('x', 2000) FROM tags", Limits(answer_mb=1))


def test_a_value_that_json_cannot_nest_fails_with_one_line(lake: Path) -> None:
    with pytest.raises(QueryFailedError):
        value(lake, "(repeat('[', 900000) || repeat(']', 900000))::JSON")


def test_a_question_over_time_ends_at_its_deadline(lake: Path) -> None:
    started = time.monotonic()

    with pytest.raises(QueryFailedError, match=r"longer than 0\.8 s"):
        ask(lake, f"SELECT {_SLOW}", Limits(timeout_s=0.8))
    assert time.monotonic() - started < 20


def test_an_empty_lake_answers_over_all_its_views(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(generation=7, published_at="2026-11-22T10:00:00"))

    counts = ", ".join(f"(FROM {name} SELECT count(*))" for name in EMPTY_LAKE_VIEWS)
    table = run_query(tmp_path, f"FROM lake_info SELECT {counts}, generation")

    assert table.rows == [[0, 0, 1, 0, 0, 0, 0, 0, 0, 7]]


def test_before_the_first_sync_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(EmptyLakeError):
        run_query(tmp_path, "SELECT 1")


def test_a_lake_given_by_a_relative_path_answers(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lake)
    write_manifest(lake, Manifest(generation=1, published_at="2026-11-22T10:00:00"))

    assert run_query(Path(), "SELECT generation FROM lake_info").rows == [[1]]
    (lake / "manifest.json").unlink()


def test_the_query_ends_when_its_asker_is_killed(lake: Path) -> None:
    script = (
        "from pathlib import Path; from grabient_ops.analytics.console import run_confined, Limits;"
        f"run_confined(Path({str(lake)!r}), [],"
        f' "SELECT {_SLOW}",'
        " limits=Limits(timeout_s=50))"
    )
    asker = subprocess.Popen([sys.executable, "-c", script])
    (child,) = _wait_for_children(asker.pid)

    asker.kill()
    asker.wait()

    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}/exe").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}/exe").exists()


def _wait_for_children(pid: int) -> list[int]:
    """Return the processes of a process once there are some that have become a query."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        found = [int(child) for child in text.split()]
        if found and all(b"_console_child" in _command(child) for child in found):
            time.sleep(0.3)
            return found
        time.sleep(0.02)
    return []


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_without_landlock_nothing_runs(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class OldKernel:
        def syscall(self, *_: object) -> int:
            return -1

    monkeypatch.setattr(landlock, "_libc", OldKernel())
    monkeypatch.setattr(_console_child, "_set_limits", lambda _: None)
    job = {"lake": str(lake), "views": [], "sql": "SELECT 1", "limits": {}}

    (said,) = _console_child._lines(job)

    assert landlock.version() == 0
    assert "no Landlock" in json.loads(said)["refused"]


def test_a_process_with_threads_is_not_confined() -> None:
    """Landlock would hold for one of them only."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(OSError, match="threads"):
            landlock.confine([])
    finally:
        done.set()
        thread.join()
    assert list(Path("/").iterdir())
