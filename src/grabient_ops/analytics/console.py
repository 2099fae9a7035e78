"""Runs a stranger's SELECT over the lake: each in a process of its own that can do nothing else."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from grabient_ops.analytics.warehouse import view_statements
from grabient_ops.errors import GrabientError

_CHILD = "grabient_ops.analytics._console_child"
_SQL_BYTES = 20_000
_CHUNK_BYTES = 1 << 16
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
        "rows": limits.rows,
        "limits": {
            "memory_mb": limits.memory_mb,
            "threads": limits.threads,
            "timeout_s": limits.timeout_s,
        },
    }
    started = time.monotonic()
    answer = _run(json.dumps(job).encode(), limits, started + limits.timeout_s)
    *lines, verdict = answer.splitlines()
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
    if size > _SQL_BYTES:
        raise QueryRefusedError(f"the statement has {size:,} bytes; {_SQL_BYTES:,} are allowed")
    return sql


def _run(job: bytes, limits: Limits, deadline: float) -> bytes:
    """Return what a process answers to a job."""
    with TemporaryFile() as asked:
        asked.write(job)
        asked.seek(0)
        # No environment: it may hold keys. No stderr: what matters is said on stdout.
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", _CHILD],
            stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd="/", env={}, start_new_session=True,
        )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            answer = _read(process.stdout, limits, deadline)
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise _too_slow(limits) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if code:
        raise QueryFailedError(
            f"the query's process died (code {code});"
            f" most likely it needed more than {limits.memory_mb:,} MB"
        )
    return answer


def _read(answer: IO[bytes], limits: Limits, deadline: float) -> bytes:
    read = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(answer, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(answer.fileno(), _CHUNK_BYTES)
            if not chunk:
                return bytes(read)
            read += chunk
            if len(read) > limits.answer_mb << 20:
                raise QueryFailedError(f"the answer is larger than {limits.answer_mb} MB")
    raise _too_slow(limits)


def _too_slow(limits: Limits) -> QueryFailedError:
    return QueryFailedError(f"the query took longer than {limits.timeout_s:g} s")


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
