"""The process of one untrusted query: it reads the lake and nothing else, then it ends.

The order matters. Limits and Landlock come before DuckDB is loaded, since its threads keep the
rights that they were born with; the views come before the settings are locked.
"""

import ctypes
import json
import math
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, cast

from grabient_ops.analytics import landlock

if TYPE_CHECKING:
    import duckdb

_DIE_WITH_PARENT = 1
_PROGRAM_MB = 512
"""For Python, and for strings that DuckDB does not count as its memory."""

# Programs and libraries hold no secrets; DuckDB aborts when it cannot ask for its memory limit.
_PROGRAM = (sys.prefix, sys.base_prefix, "/usr/lib", "/lib", "/lib64", "/etc/ld.so.cache")
_MACHINE = ("/proc/self/cgroup", "/sys/fs/cgroup")

# DuckDB reads its own trees: they may be deeper than Python's parser goes.
_PARSE = """SELECT tree, tree->>'error_type', tree->>'error_message',
json_array_length(tree, '$.statements') FROM (SELECT json_serialize_sql(?) AS tree)"""
_NODE = re.compile(r'"type":"(\w+_NODE)"')
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""DuckDB 2 calls a SELECT with a writing CTE a SELECT too; only its syntax tree tells."""


class _RefusalError(Exception):
    """The statement is not one that the console runs."""


def main() -> NoReturn:
    """Read a job from stdin, write an answer to stdout.

    The answer is one JSON list for each row, then a last line: `{"columns", "types"}` when all went
    well, `{"refused"}` or `{"failed"}` with the reason when it did not.
    """
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    job = json.load(sys.stdin.buffer)
    for line in _lines(job):
        sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()
    # DuckDB 2.0.0 may hang or crash when the interpreter ends in order.
    os._exit(0)


def _lines(job: dict[str, Any]) -> Iterator[str]:
    limits = job["limits"]
    try:
        _set_limits(limits)
        landlock.confine([job["lake"], *_PROGRAM, *_MACHINE])
    except (OSError, ValueError) as error:
        yield json.dumps({"refused": f"queries cannot be confined on this machine: {error}"})
        return
    # DuckDB imports pandas where it finds it, for a third of a second; None makes it unfindable.
    cast("dict[str, None]", sys.modules)["pandas"] = None
    import duckdb

    try:
        connection = _connect(job["lake"], job["views"], limits)
        query = _checked(connection, job["sql"])
        yield from _answer(connection, query, limits["rows"], limits["answer_mb"] << 20)
    except (_RefusalError, duckdb.PermissionException) as error:
        yield json.dumps({"refused": str(error)})
    except (duckdb.Error, MemoryError) as error:
        yield json.dumps({"failed": str(error) or "not enough memory"})


def _set_limits(limits: dict[str, Any]) -> None:
    for limit, value in (
        (resource.RLIMIT_DATA, (limits["memory_mb"] + _PROGRAM_MB) << 20),
        (resource.RLIMIT_CPU, math.ceil(limits["timeout_s"] * limits["threads"]) + 1),
        (resource.RLIMIT_FSIZE, (limits["answer_mb"] + 1) << 20),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(limit)
        allowed = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (allowed, allowed))


def _connect(lake: str, views: list[str], limits: dict[str, Any]) -> "duckdb.DuckDBPyConnection":
    """Open an empty database with the lake's views, and lock its settings."""
    import duckdb

    connection = duckdb.connect(
        config={
            "threads": limits["threads"],
            "memory_limit": f"{limits['memory_mb']}MiB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
    )
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    for view in views:
        connection.execute(view)
    connection.execute("SET allowed_directories = ?", [[lake]])
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return connection


def _checked(connection: "duckdb.DuckDBPyConnection", sql: str) -> str:
    """Return the one SELECT in a text, written anew from its syntax tree: without its comments.

    So what was checked is what runs.
    """
    import duckdb

    ((tree, kind, message, count),) = connection.execute(_PARSE, [sql]).fetchall()
    if kind not in {None, "not implemented"}:
        raise duckdb.Error(message)
    if kind or not set(_NODE.findall(tree)) <= _READING_NODES:
        raise _RefusalError("only SELECT runs here (a PIVOT must list its values with IN)")
    if count != 1:
        raise _RefusalError("exactly one statement runs here")
    ((checked,),) = connection.execute("SELECT json_deserialize_sql(?)", [tree]).fetchall()
    return str(checked)


def _answer(
    connection: "duckdb.DuckDBPyConnection", query: str, rows: int, size: int
) -> Iterator[str]:
    """Yield at most `rows + 1` rows, then the columns; DuckDB itself writes the values as JSON."""
    described = connection.execute(f"DESCRIBE ({query})").fetchall()
    names = [f"c{number}" for number in range(len(described))]
    values = ", ".join(f"to_json({name})" for name in names)
    connection.execute(
        f"SELECT {values} FROM ({query}) AS answer({', '.join(names)}) LIMIT {rows + 1}"  # noqa: S608 - the query was checked, and the process is confined
    )
    while row := connection.fetchone():
        line = f"[{','.join(value or 'null' for value in row)}]"
        size -= len(line.encode())
        if size < 0:
            raise MemoryError("the answer is too large")
        yield line
    yield json.dumps({"columns": [c[0] for c in described], "types": [c[1] for c in described]})


if __name__ == "__main__":
    main()
