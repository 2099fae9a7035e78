"""Names the Parquet files of a lake in SQL, and writes query results as such."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb


def copy(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    path: Path,
    parameters: Sequence[Any] | Mapping[str, Any] = (),
) -> int:
    """Write the rows of a query to a new file; return how many there are."""
    written = connection.execute(
        f"COPY ({query}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)",
        parameters,
    ).fetchone()
    return int(written[0]) if written else 0


def scan(folder: Path, files: Sequence[str]) -> str:
    """Return the table function that reads files of a folder."""
    return f"read_parquet([{', '.join(quoted(str(folder / file)) for file in files)}])"


def nothing(columns: Mapping[str, str]) -> str:
    """Return a query that has columns (name -> type) and no row."""
    empty = (f"NULL::{kind} AS {name}" for name, kind in columns.items())
    return f"SELECT {', '.join(empty)} WHERE false"


def quoted(text: str) -> str:
    """Write a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
