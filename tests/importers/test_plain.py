import csv
import json
import tracemalloc
from io import BytesIO, StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.errors import InputError
from grabient_ops.importers.plain import LONGEST_LINE, Found, Refused, read_palettes
from grabient_ops.palettes.bundled import bundled_seeds

ONE, TWO, THREE = bundled_seeds()[:3]
TITLES = st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from(',;"\t\r\n')


def read(content: str | bytes, name: str = "seeds.txt") -> list[Found | Refused]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_palettes(BytesIO(raw), name))


def found(content: str | bytes, name: str = "seeds.txt") -> list[str]:
    return [row.palette.seed for row in read(content, name) if isinstance(row, Found)]


def refused(content: str | bytes, name: str = "seeds.txt") -> list[Refused]:
    return [row for row in read(content, name) if isinstance(row, Refused)]


def test_lines_pass_over_blanks_and_comments() -> None:
    rows = read(f"# ours\n\n  {ONE}  \n{TWO} # dawn\n \t \n")

    assert [(row.line, row.palette.seed) for row in rows if isinstance(row, Found)] == [
        (3, ONE),
        (4, TWO),
    ]
    assert len(rows) == 2


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "-"])
def test_every_line_end_and_a_byte_order_mark_are_understood(line_end: str, name: str) -> None:
    content = "\ufeff" + line_end.join(["seed,likes", f"{ONE},3", f"{TWO},4"])
    if name == "a.txt":
        content = "\ufeff" + line_end.join([ONE, TWO])

    assert found(content, name) == [ONE, TWO]


def test_csv_takes_the_column_that_the_header_names_seed() -> None:
    assert found(f'likes,"Seed",title\n3,"{ONE}","a ""b"", c"\n4,{TWO},d\n', "x.csv") == [ONE, TWO]


def test_csv_without_such_a_header_takes_the_first_column() -> None:
    assert found(f"{ONE},3\n{TWO},4\n") == [ONE, TWO]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_may_be_separated_by_semicolons_or_tabs(delimiter: str) -> None:
    assert found(f"id{delimiter}seed\n1{delimiter}{ONE}\n") == [ONE]


def test_csv_cells_may_hold_line_ends_and_rows_keep_their_line_number() -> None:
    rows = read(f'title,seed\n"two\nlines",{ONE}\nx,bad\n', "x.csv")

    assert [row.line for row in rows] == [2, 4]


def test_a_quote_without_partner_costs_its_own_row_only() -> None:
    content = f'seed,title\n{ONE},"open\n{TWO},fine\n{THREE},fine\n'

    assert found(content, "x.csv") == [TWO, THREE]
    assert [(row.line, row.reason) for row in refused(content, "x.csv")] == [
        (2, "The row is no CSV: unexpected end of data.")
    ]


def test_a_csv_row_without_the_column_is_refused_with_its_line() -> None:
    assert [(row.line, row.reason) for row in refused(f"id,seed\n1,{ONE}\n2\n", "x.csv")] == [
        (3, "It is empty.")
    ]


def test_jsonl_takes_objects_and_strings() -> None:
    content = f"{json.dumps({'id': 1, 'seed': ONE})}\n\n{json.dumps(TWO)}\n"

    assert found(content, "a.jsonl") == [ONE, TWO]
    assert found(content) == [ONE, TWO]


def test_case_does_not_count_in_the_key_of_jsonl_as_in_a_header_of_csv() -> None:
    rows = [{"Seed": ONE}, {" SEED ": TWO}, {"SEED": "no", "seed": THREE}]

    assert found("\n".join(map(json.dumps, rows)), "a.jsonl") == [ONE, TWO, THREE]


@pytest.mark.parametrize(
    "line", ['{"seed": 3}', '{"id": 1}', "{", "[1]", "null", '"' + "x" * 30 + '"', "[" * 100_000]
)
def test_a_bad_json_line_is_refused_and_the_next_is_read(line: str) -> None:
    rows = read(f"{json.dumps(ONE)}\n{line}\n{json.dumps(TWO)}\n", "a.jsonl")

    assert [type(row) for row in rows] == [Found, Refused, Found]


def test_a_json_array_is_refused_with_advice() -> None:
    with pytest.raises(InputError, match="one object or string per line"):
        read(json.dumps([ONE, TWO]))


def test_a_damaged_seed_is_refused_with_the_one_that_was_probably_meant() -> None:
    (row,) = refused(f"{ONE}.png\n")

    assert (row.line, row.seed, row.suggestion) == (1, f"{ONE}.png", ONE)
    assert row.reason


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\x1f\x8b\x08\0\0\0\0\0",
        ONE.encode("utf-16"),
        b"SQLite format 3\0\x10\0\x01\x01\0",
        b"%PDF-1.7\n" + bytes(range(128, 256)) * 4,
    ],
)
def test_a_binary_file_is_refused_as_a_whole(content: bytes) -> None:
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        read(content)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("line", [b"caf\xe9 not UTF-8", b"nul\0byte"])
def test_bad_bytes_cost_their_own_line_only(name: str, line: bytes) -> None:
    quoted = json.dumps(ONE).encode() if name == "a.jsonl" else ONE.encode()
    good = [quoted] * 30

    rows = read(b"\n".join([*good, line, *good]), name)

    assert [row.line for row in rows if isinstance(row, Refused)] == [31]


def test_bytes_that_are_no_text_beside_the_seed_do_no_harm() -> None:
    assert found(f"seed,title\n{ONE},".encode() + b"caf\xe9\n", "a.csv") == [ONE]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_an_endless_line_costs_little_memory_and_only_itself(name: str) -> None:
    quoted = json.dumps(ONE) if name == "a.jsonl" else ONE
    content = f"{quoted}\n{'x' * 10_000_000}\n{quoted}\n".encode()

    tracemalloc.start()
    rows = read(content, name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [type(row) for row in rows] == [Found, Refused, Found]
    assert peak < 8 * LONGEST_LINE
    assert len(repr(rows[1])) < 400


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    content = BytesIO(f"{ONE}\n".encode() * 20_000)

    tracemalloc.start()
    count = sum(1 for _ in read_palettes(content, "a.txt"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 20_000
    assert peak < 1 << 20


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "# nothing\n"])
def test_a_file_without_rows_yields_nothing(content: str) -> None:
    assert read(content) == []


def test_the_file_stays_open() -> None:
    file = BytesIO(ONE.encode())

    list(read_palettes(file, "-"))

    assert not file.closed


@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.csv", "a.jsonl", "-"]))
def test_whatever_the_bytes_they_are_read_or_refused(content: bytes, name: str) -> None:
    try:
        rows = read(content, name)
    except InputError:
        return
    assert all(row.line >= 1 for row in rows)


@given(
    st.lists(
        st.tuples(st.sampled_from([ONE, TWO, THREE]), st.text(TITLES, max_size=20)), min_size=1
    )
)
def test_what_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(["title", "seed"])
    writer.writerows((title, seed) for seed, title in rows)

    content = text.getvalue().encode(errors="replace")

    assert found(content, "a.csv") == [seed for seed, _ in rows]
