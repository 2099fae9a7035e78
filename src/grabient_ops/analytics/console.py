"""Runs a stranger's SELECT over the lake: each in a process of its own that can do nothing else."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile

from grabient_ops.analytics.warehouse import view_statements
from grabient_ops.errors import GrabientError

_CHILD = "grabient_ops.analytics._console_child"
_SQL_BYTES = 20_000
_INTEGER_DIGITS = 39
"""What DuckDB's widest integer needs."""


class QueryRefusedError(GrabientError):
    """The statement is not one that the console runs, or this machine cannot confine it."""


class QueryFailedError(GrabientError):
    """The statement is wrong, or it needed more than its limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one query may use.

    Attributes:
        timeout_s: from the start of its process to its last row.
        memory_mb: for DuckDB; the process gets 512 MB more for itself.
        threads: that work at once.
        rows: how many are given back; the rest is left out.
        answer_mb: size of these rows as JSON.
    """

    timeout_s: float = 10.0
    memory_mb: int = 1024
    threads: int = 2
    rows: int = 1000
    answer_mb: int = 64


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query.

    Attributes:
        columns: their names, as often as they were selected.
        types: their types, in DuckDB's words.
        rows: a list of JSON values for each row. What a JSON number cannot hold is text: NaN,
            infinities, decimals that a double would change; so are times, BLOBs and UUIDs, written
            as DuckDB writes them. Structs and maps are dicts.
        truncated: whether there were more rows than the limit.
        elapsed_s: from the start of its process to its last row.
    """

    columns: list[str]
    types: list[str]
    rows: list[list[object]]
    truncated: bool
    elapsed_s: float


def run_query(lake: Path, sql: str, *, limits: Limits | None = None) -> Table:
    """Run one SELECT over the views of a lake; it can read nothing else and change nothing.

    Raises:
        EmptyLakeError: nothing has been synced.
        QueryRefusedError: it is not one SELECT, it wants what is not allowed, or this machine has
            no Landlock (Linux 5.13), without which nothing runs.
        QueryFailedError: it is wrong SQL, or needs more than its limits.
    """
    lake = lake.resolve()
    return run_confined(lake, view_statements(lake), sql, limits=limits)


def run_confined(
    folder: Path, views: Sequence[str], sql: str, *, limits: Limits | None = None
) -> Table:
    """Run one SELECT over views of files in a folder, as `run_query` does.

    Args:
        folder: the only one that the query can read.
        views: statements that are run before; they name files by absolute paths.
        sql: at most 20,000 bytes.
        limits: the usual ones if not given.
    """
    limits = limits or Limits()
    job = {
        "lake": str(folder.resolve()),
        "views": list(views),
        "sql": _text(sql),
        "limits": asdict(limits),
    }
    started = time.monotonic()
    *lines, verdict = _run(json.dumps(job).encode(), limits).splitlines()
    said = json.loads(verdict)
    if "refused" in said:
        raise QueryRefusedError(_first_line(said["refused"]))
    if "failed" in said:
        raise QueryFailedError(_first_line(said["failed"]))
    rows = [_row(line) for line in lines]
    return Table(
        said["columns"],
        said["types"],
        rows[: limits.rows],
        truncated=len(rows) > limits.rows,
        elapsed_s=time.monotonic() - started,
    )


def _text(sql: str) -> str:
    try:
        size = len(sql.encode())
    except UnicodeEncodeError as error:
        raise QueryRefusedError("the statement is not valid Unicode") from error
    if "\0" in sql:  # where DuckDB would stop reading
        raise QueryRefusedError("the statement holds a NUL character")
    if size > _SQL_BYTES:
        raise QueryRefusedError(f"the statement has {size:,} bytes; {_SQL_BYTES:,} are allowed")
    return sql


def _run(job: bytes, limits: Limits) -> bytes:
    """Return what a process answers to a job."""
    with TemporaryFile() as asked, TemporaryFile() as answer:
        asked.write(job)
        asked.seek(0)
        try:
            # No environment, which may hold keys; no stderr, since stdout says what matters.
            ended = subprocess.run(  # noqa: S603 - our own module; the SQL goes to its stdin
                [sys.executable, "-I", "-m", _CHILD],
                stdin=asked, stdout=answer, stderr=subprocess.DEVNULL, timeout=limits.timeout_s,
                cwd="/", env={}, start_new_session=True, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            message = f"the query took longer than {limits.timeout_s:g} s"
            raise QueryFailedError(message) from error
        if ended.returncode:
            raise QueryFailedError(
                f"the query's process died (code {ended.returncode});"
                f" most likely it needed more than {limits.memory_mb:,} MB"
            )
        answer.seek(0)
        return answer.read()


def _row(line: bytes) -> list[object]:
    try:
        row: list[object] = json.loads(
            line, parse_float=_decimal, parse_int=_integer, parse_constant=str
        )
    except (ValueError, RecursionError) as error:
        raise QueryFailedError("a value in the answer cannot be written as JSON") from error
    return row


def _decimal(text: str) -> float | str:
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _INTEGER_DIGITS + 1 else text


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
