import io
import json
import tracemalloc
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.importers.d1.dump import LONGEST_ROW, Broken, Other, RawRow, read_statements
from grabient_ops.importers.d1.literals import Guess, Value, read_values
from grabient_ops.importers.d1.schema import columns_in
from grabient_ops.importers.d1.source import DumpSource, Row
from grabient_ops.importers.values import Progressed, Refused
from tests.importers.conftest import D1, literal

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("\\nr\r\n'\"x", max_size=12)
CELLS = (
    st.none()
    | TEXTS
    | st.binary(max_size=20)
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


def source(content: bytes) -> DumpSource:
    made = DumpSource(io.BytesIO(content), len(content))
    problems = [item for item in made.look() if not isinstance(item, Progressed)]
    assert problems == []
    return made


def cells(content: bytes, table: str) -> list[tuple[Value, ...]]:
    rows = source(content).rows(table)
    return [tuple(row.cells.values()) for row in rows if isinstance(row, Row)]


def rows_of(content: bytes) -> list[tuple[str, str]]:
    found = read_statements(io.BytesIO(content))
    return [(row.table, row.values.decode()) for row in found if isinstance(row, RawRow)]


@given(
    NAMES,
    st.integers(1, 5).flatmap(
        lambda width: st.tuples(
            st.lists(NAMES, min_size=width, max_size=width, unique_by=str.casefold),
            st.lists(st.tuples(*[CELLS] * width), max_size=5),
        )
    ),
)
def test_a_table_with_any_unicode_comes_back_from_a_dump(
    table: str, columns_and_rows: tuple[list[str], list[tuple[Value, ...]]]
) -> None:
    columns, rows = columns_and_rows
    dump = D1().table("before", ["x"], ["y"]).table(table, columns, *rows)

    found = cells(dump.table("behind", ["x"]).bytes(), table)

    assert source(dump.bytes()).survey.columns[table] == tuple(columns)
    for given_row, found_row in zip(rows, found, strict=True):
        for cell, got in zip(given_row, found_row, strict=True):
            assert isinstance(got, Guess) or got == cell


@given(JSON)
def test_json_comes_back_from_a_dump_byte_for_byte_however_it_is_laid_out(value: object) -> None:
    for indent in (None, 1):
        text = json.dumps(value, ensure_ascii=False, indent=indent)

        (found,) = read_values(f"({literal(text)})".encode())

        assert found == text
        assert not isinstance(found, Guess)


@pytest.mark.parametrize(
    "text",
    [
        '{"mood": ["calm", "凉"], "note": "line1\\nline2"}',
        '{\n "mood": [\n  "séréne"\n ],\n "note": "line1\\nline2"\n}',
        '{"a":"C:\\\\new\\nz"}\n',
        '{\r\n "a": "x\\r\\ny"\r\n}',
        'it\'s "x" `y` ; -- not comment',
        "🎨 purple'],\n \"temperature",
        "a\0b",
        "a\u2028b\u0085c",
        "replace('a','b')",
        "",
        "\t\x01\x1f",
        "one line\nanother",
        "'",
        "X'00'",
    ],
)
def test_a_text_of_one_possible_original_is_restored(text: str) -> None:
    ((found,),) = cells(D1().table("t", ["c"], [text]).bytes(), "t")

    assert (found, isinstance(found, Guess)) == (text, False)


@pytest.mark.parametrize("text", ["a\nb\\nc", "a\nb\nc", 'say "x\ny"\n and \\n', "a\r\nb\rc"])
def test_a_text_of_several_possible_originals_is_read_as_sqlite_does_and_marked(text: str) -> None:
    ((found,),) = cells(D1().table("t", ["c"], [text]).bytes(), "t")

    assert found == text.replace("\\n", "\n")
    assert isinstance(found, Guess)


def test_a_json_text_with_a_line_end_inside_a_string_is_not_taken_for_json() -> None:
    ((found,),) = cells(D1().table("t", ["c"], ['["a\nb", "c\nd"]']).bytes(), "t")

    assert found == '["a\nb", "c\nd"]'


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e+21", 1e21),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("9007199254740993", 9007199254740993),
        ("Infinity", float("inf")),
        ("-Infinity", float("-inf")),
        ("NaN", None),
        ("null", None),
        ("TRUE", 1),
        ("x'00FF'", b"\0\xff"),
        ("unistr('a\\u000ab\\\\\\+01F3A8')", "a\nb\\🎨"),
        ("replace ( 'a\\012b' , '\\012' , char ( 10 ) )", "a\nb"),
        ("replace('ab','',char(10))", "ab"),
    ],
)
def test_the_literals_of_other_writers_are_read(written: str, value: Value) -> None:
    assert read_values(f"({written})".encode()) == (value,)


@pytest.mark.parametrize(
    "written", ["'\udcff'", "unistr('\\ud800')", "replace(replace('a','b',char(10))", "char(1)"]
)
def test_a_row_with_a_broken_text_is_refused_and_the_next_is_read(written: str) -> None:
    content = D1().table("t", ["c"]).bytes() + (
        f"\nINSERT INTO t VALUES({written});\nINSERT INTO t VALUES('fine');"
    ).encode(errors="surrogateescape")
    made = DumpSource(io.BytesIO(content), len(content))
    problems = [item for item in made.look() if isinstance(item, Refused)]
    found = [item for item in made.rows("t") if not isinstance(item, Progressed)]
    problems += [item for item in found if isinstance(item, Refused)]

    assert [item.place.line for item in problems] == [5]
    assert [item.cells for item in found if isinstance(item, Row)] == [{"c": "fine"}]


def test_statements_of_a_dump_written_by_hand_are_read() -> None:
    content = b"""\xef\xbb\xbf-- seeds; of old
BEGIN TRANSACTION;\r
/* INSERT INTO palettes VALUES ('no'); */
insert or ignore into main.palettes (id, `seed`, [style]) values
  ('1', 'a;b', 'x'), ('2', 'it''s', NULL) -- the last
  ON CONFLICT DO NOTHING;;
COMMIT"""

    made = source(content)

    assert made.survey.columns["palettes"] == ("id", "seed", "style")
    assert cells(content, "palettes") == [("1", "a;b", "x"), ("2", "it's", None)]
    places = [row.place.line for row in made.rows("palettes") if isinstance(row, Row)]
    assert places == [5, 5]


def test_columns_are_read_from_any_definition() -> None:
    definition = b"""(
  `id` text PRIMARY KEY NOT NULL, -- a comment, with a comma
  "na""me" text DEFAULT ('a, as (b)') /* , x */, [two words] integer,
  created_at integer DEFAULT (cast(unixepoch('subsecond') * 1000 as integer)) NOT NULL,
  twice INTEGER GENERATED ALWAYS AS (id * 2) STORED, thrice AS (id * 3),
  FOREIGN KEY (`id`) REFERENCES `x`(`id`) ON UPDATE no action,
  CONSTRAINT u UNIQUE (id), CHECK (id > 0), role text)"""

    assert columns_in(definition) == ("id", 'na"me', "two words", "created_at", "role")


def test_a_table_of_the_site_is_known_without_its_definition() -> None:
    content = D1().rows("palette_tags", ["pt1", "s", "p", "m", 1, "{}", None, 5, "v"]).bytes()

    (row,) = [item for item in source(content).rows("palette_tags") if isinstance(item, Row)]

    assert (row.cells["prompt_version"], row.cells["run_number"]) == ("v", 1)


def test_an_unknown_table_without_definition_is_refused_with_a_reason() -> None:
    content = D1().rows("palettes", ["only one"]).bytes()
    (row,) = [item for item in source(content).rows("palettes") if not isinstance(item, Progressed)]

    assert isinstance(row, Refused)
    assert row.reason == "Nothing says which columns the table has."


@pytest.mark.parametrize(
    "harmful",
    [
        "ATTACH DATABASE 'evil.sqlite' AS evil",
        "PRAGMA writable_schema=ON",
        "CREATE TRIGGER t BEGIN INSERT INTO likes VALUES('no'); SELECT CASE WHEN 1 THEN 2 END; END",
        "CREATE TEMP TRIGGER t BEGIN DELETE FROM likes; END",
        "CREATE VIEW v AS SELECT load_extension('x'), ';'",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "UPDATE likes SET palette_id = ';'",
        "CREATE TABLE c AS SELECT 1",
        ".shell touch evil",
    ],
)
def test_what_is_neither_a_table_nor_a_row_is_counted_and_never_run(harmful: str) -> None:
    content = D1().sql(f"{harmful};").rows("likes", ["yes"]).bytes()

    found = list(read_statements(io.BytesIO(content)))

    assert rows_of(content) == [("likes", "('yes')")]
    assert len([item for item in found if isinstance(item, Other)]) == 2


@pytest.mark.parametrize(
    "broken",
    [
        "INSERT INTO likes VALUES(1, abs(-1));",
        "INSERT INTO likes VALUES((SELECT ';'));",
        "INSERT INTO likes SELECT * FROM users;",
        "INSERT INTO likes DEFAULT VALUES;",
        "INSERT INTO likes VALUES(1;",
    ],
)
def test_an_insert_of_another_form_is_refused_and_the_next_is_read(broken: str) -> None:
    content = D1().sql(broken).rows("likes", ["yes"]).bytes()

    found = list(read_statements(io.BytesIO(content)))

    assert [item.line for item in found if isinstance(item, Broken)] == [2]
    assert rows_of(content) == [("likes", "('yes')")]


def test_rows_of_a_statement_before_a_broken_one_are_kept() -> None:
    assert rows_of(b"INSERT INTO t VALUES (1),(2),(now());") == [("t", "(1)"), ("t", "(2)")]


@pytest.mark.parametrize(
    "endless",
    [
        b"INSERT INTO likes VALUES('" + b"x" * 24_000_000 + b"');",
        b"INSERT INTO likes VALUES('" + b"''" * 12_000_000 + b"');",
        b"-- " + b"x" * 24_000_000 + b"\n",
        b"/*" + b"*x" * 12_000_000 + b"*/",
        b"PRAGMA " + b"x" * 24_000_000 + b";",
        b"CREATE TABLE t (" + b"a," * 12_000_000 + b");",
        b" " * 24_000_000,
        b"SELECT '" + b"x" * 24_000_000 + b"';",
    ],
    ids=["text", "quotes", "comment", "block", "statement", "table", "blanks", "string"],
)
def test_an_endless_line_costs_bounded_memory_and_only_itself(endless: bytes) -> None:
    file = io.BytesIO(b"INSERT INTO t VALUES(1);\n" + endless + b"\nINSERT INTO t VALUES(2);")

    tracemalloc.start()
    found = [item for item in read_statements(file) if not isinstance(item, Other)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [row.values for row in found if isinstance(row, RawRow)] == [b"(1)", b"(2)"]
    assert peak < 4 * LONGEST_ROW


def test_a_row_of_countless_values_costs_bounded_memory_and_only_itself() -> None:
    content = b"CREATE TABLE t (a, b);INSERT INTO t VALUES(1" + b",1" * 400_000 + b");"

    tracemalloc.start()
    found = [item for item in source(content).rows("t") if not isinstance(item, Progressed)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [type(item) for item in found] == [Refused]
    assert peak < LONGEST_ROW


def test_a_text_that_never_ends_is_refused_with_its_line() -> None:
    found = list(read_statements(io.BytesIO(b"INSERT INTO t VALUES(1);\nINSERT INTO t VALUES('a")))

    assert [(item.table, item.line) for item in found if isinstance(item, Broken)] == [("t", 2)]


@given(st.binary(max_size=300))
def test_whatever_the_bytes_nothing_is_raised(content: bytes) -> None:
    made = DumpSource(io.BytesIO(content), len(content))

    assert all(True for _ in made.look())
    assert all(True for table in made.survey.rows for _ in made.rows(table))


@given(
    st.lists(st.sampled_from([*"'\"`[]();,-/*\n ", "x", "INSERT INTO t VALUES(1)"]), max_size=30)
)
def test_whatever_the_sql_nothing_is_raised(words: list[str]) -> None:
    content = "".join(words).encode()

    assert all(True for _ in read_statements(io.BytesIO(content)))


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    row = b"INSERT INTO likes VALUES('a','b');\n"
    file = io.BytesIO(row * 20_000)

    tracemalloc.start()
    made = DumpSource(file, len(row) * 20_000)
    count = sum(1 for _ in chain(made.look(), made.rows("likes")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count > 20_000
    assert peak < 6 << 20
