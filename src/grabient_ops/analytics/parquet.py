"""Writes query results as Parquet files of a lake."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb


def copy(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    path: Path,
    parameters: Sequence[Any] = (),
) -> int:
    """Write the rows of a query to a new file; return how many there are."""
    target = str(path).replace("'", "''")
    written = connection.execute(
        f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)", list(parameters)
    ).fetchone()
    return int(written[0]) if written else 0
