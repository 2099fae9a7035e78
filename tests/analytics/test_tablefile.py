"""What the console finds, as a file: safe in a spreadsheet, exact as Parquet."""

import csv
import io
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grabient_ops.analytics.console import Table, run_confined
from grabient_ops.analytics.tablefile import csv_of, parquet_of

_TYPES = """SELECT 1 AS i, 5::HUGEINT AS h, 170141183460469231731687303715884105727 AS g,
0.1::DOUBLE AS d, 'nan'::DOUBLE AS n, 12345678901234.12::DECIMAL(18, 2) AS m, true AS t,
'a,"b"\nc' AS s,
DATE '2026-11-22' AS day, TIMESTAMP '2026-11-22 08:00:00.5' AS at, uuid() AS u,
TIMESTAMPTZ '2026-11-22 08:00:00+00' AS z, [1, NULL] AS l, {'k': 'v'} AS o, NULL AS nothing,
MAP {'k': 1} AS m2, 'x'::BLOB AS b, INTERVAL 1 DAY AS v"""


def _read(content: bytes, folder: Path) -> duckdb.DuckDBPyRelation:
    file = folder / "read.parquet"
    file.write_bytes(content)
    return duckdb.connect().read_parquet(str(file))


def _rows(found: duckdb.DuckDBPyRelation) -> list[tuple[object, ...]]:
    """Return the rows; to make a Python value of a time with its zone takes another package."""
    return found.project("COLUMNS(*)::varchar").fetchall()


def _table(*rows: list[object], kind: str = "VARCHAR") -> Table:
    width = len(rows[0])
    return Table(
        [f"c{n}" for n in range(width)], [kind] * width, [*rows], truncated=False, elapsed_s=0.0
    )


def test_types_come_back_from_parquet_or_are_text(tmp_path: Path) -> None:
    table = run_confined(tmp_path, [], _TYPES)
    found = _read(parquet_of(table), tmp_path)
    kinds = dict(zip(found.columns, map(str, found.types), strict=True))
    row = dict(zip(found.columns, _rows(found)[0], strict=True))

    assert kinds["i"] == "INTEGER"
    assert kinds["m"] == "DECIMAL(18,2)"
    assert kinds["l"] == "INTEGER[]"
    assert kinds["at"] == "TIMESTAMP"
    assert kinds["u"] == "UUID"
    assert kinds["z"] == "TIMESTAMP WITH TIME ZONE"
    assert kinds["h"] == "BIGINT"
    assert row == {
        "i": "1", "h": "5", "g": str(2**127 - 1), "d": "0.1", "n": "nan", "m": "12345678901234.12",
        "t": "true", "s": 'a,"b"\nc', "day": "2026-11-22", "at": "2026-11-22 08:00:00.5",
        "u": row["u"], "z": "2026-11-22 08:00:00+00", "l": "[1, NULL]", "o": '{"k": "v"}',
        "nothing": None, "m2": '{"k": 1}', "b": "x", "v": "1 day",
    }  # fmt: skip


def test_an_answer_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    table = run_confined(tmp_path, [], "SELECT 1 AS one, 'x' AS two WHERE false")
    found = _read(parquet_of(table), tmp_path)

    assert (found.columns, found.fetchall()) == (["one", "two"], [])
    assert list(csv_of(table)) == ["one,two\r\n"]


def test_names_that_come_twice_are_numbered_in_parquet(tmp_path: Path) -> None:
    table = Table(
        ["a", "A", 'a"; DROP', "a_2"],
        ["INTEGER"] * 4,
        [[1, 2, 3, 4]],
        truncated=False,
        elapsed_s=0.0,
    )

    assert _read(parquet_of(table), tmp_path).columns == ["a", "A_2", 'a"; DROP', "a_2_2"]


@settings(max_examples=25)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_any_text_comes_back_from_parquet(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows: list[list[object]] = [[text, [text]] for text in texts]
    table = Table(["a", "b"], ["VARCHAR", "VARCHAR[]"], rows, truncated=False, elapsed_s=0.0)
    found = _read(parquet_of(table), folder)

    assert [list(row) for row in found.fetchall()] == rows


@given(st.lists(st.tuples(st.text(), st.integers(), st.floats(allow_nan=False)), min_size=1))
def test_csv_is_read_back_as_it_was_but_for_formulas(rows: list[tuple[str, int, float]]) -> None:
    table = _table(*([*row] for row in rows))
    text = "".join(csv_of(table))
    read = list(csv.reader(io.StringIO(text, newline="")))[1:]

    assert [cells[0].lstrip("'") for cells in read] == [row[0].lstrip("'") for row in rows]
    assert [cells[1:] for cells in read] == [[str(row[1]), repr(row[2])] for row in rows]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_tag_becomes_a_formula(formula: str) -> None:
    (_, line) = csv_of(_table([formula, -1, [1], None, True]))

    assert next(csv.reader([line])) == [f"'{formula}", "-1", "[1]", "", "true"]
