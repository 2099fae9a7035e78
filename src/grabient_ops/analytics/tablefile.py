"""Turns an answer of the console into a file: CSV for spreadsheets, Parquet for all else."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from grabient_ops.analytics.console import Table
from grabient_ops.analytics.parquet import copy, quoted

_PLAIN = re.compile(
    r"(BOOLEAN|U?(TINY|SMALL|BIG)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)"
    r"|VARCHAR|UUID|DATE|TIME|TIMESTAMP|TIMESTAMP WITH TIME ZONE)(\[\])*"
)
"""Types that DuckDB reads back from its own words; values of others stay text."""
_FORMULA = tuple("=+-@\t\r")
_HUGE = {"HUGEINT", "UHUGEINT"}
"""What sums are; Parquet has no such type, and DuckDB would write them as doubles."""
_MOST_OBJECT_BYTES = 64 << 20


def csv_of(table: Table) -> Iterator[str]:
    """Yield an answer as lines of CSV (RFC 4180), its columns' names first.

    Text that a spreadsheet would take for a formula gets an apostrophe before it: tags come from
    models, and a formula may send the sheet away. Parquet has all text as it is.
    """
    rows: list[Sequence[object]] = [table.columns, *table.rows]
    for row in rows:
        line = io.StringIO()
        csv.writer(line).writerow([_cell(value) for value in row])
        yield line.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return value


def parquet_of(table: Table) -> bytes:
    """Return an answer as a Parquet file, its columns' types as in the answer where they are plain.

    Names that were selected several times are numbered, for Parquet wants them different.
    """
    from grabient_ops.analytics.warehouse import connect

    types = [_type(table, place) for place in range(len(table.types))]
    with TemporaryDirectory(prefix="grabient-ops-") as folder, connect() as connection:
        lines = Path(folder, "rows.jsonl")
        with lines.open("w", encoding="utf-8") as file:
            file.writelines(_line(row, types) for row in table.rows)
        rows = _rows(lines, types) if table.rows else _no_rows(types)
        names = zip(types, _distinct(table.columns), strict=True)
        named = (f"c{place} AS {_identifier(name)}" for place, (_, name) in enumerate(names))
        target = Path(folder, "answer.parquet")
        copy(connection, f"SELECT {', '.join(named)} FROM {rows}", target)  # noqa: S608 - names are quoted
        return target.read_bytes()


def _type(table: Table, place: int) -> str:
    kind = table.types[place]
    if kind in _HUGE:
        values = (row[place] for row in table.rows)
        fits = all(v is None or (isinstance(v, int) and -(2**63) <= v < 2**63) for v in values)
        return "BIGINT" if fits else "VARCHAR"
    return kind if _PLAIN.fullmatch(kind) else "VARCHAR"


def _line(row: Sequence[object], types: Sequence[str]) -> str:
    named = {
        f"c{place}": value if kind != "VARCHAR" or value is None else _text(value)
        for place, (value, kind) in enumerate(zip(row, types, strict=True))
    }
    return json.dumps(named, ensure_ascii=False) + "\n"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(lines: Path, types: Sequence[str]) -> str:
    columns = ", ".join(f"c{place}: {quoted(kind)}" for place, kind in enumerate(types))
    return (
        f"read_json({quoted(str(lines))}, format = 'newline_delimited',"
        f" maximum_object_size = {_MOST_OBJECT_BYTES}, columns = {{{columns}}})"
    )


def _no_rows(types: Sequence[str]) -> str:
    empty = ", ".join(f"NULL::{kind} AS c{place}" for place, kind in enumerate(types))
    return f"(SELECT {empty} WHERE false)"


def _distinct(names: Sequence[str]) -> list[str]:
    """Number what comes again, whatever its case."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        free, number = name, 1
        while free.lower() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.lower())
        found.append(free)
    return found


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
