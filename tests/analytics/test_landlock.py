"""The kernel's part of the console by itself: with DuckDB's own switches left open, it holds."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grabient_ops.analytics import landlock

SECRET = "sk-secret-of-the-house"

_ATTEMPTS = r"""
import ctypes, json, os, signal, socket, sys
from pathlib import Path
from grabient_ops.analytics import _console_child, landlock

lake, outside, parent, port = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
landlock.confine([lake, *_console_child._PROGRAM, *_console_child._MACHINE])
import duckdb

connection = duckdb.connect()

def sql(text):
    text = text.format(lake=lake, outside=outside, parent=parent)
    return lambda: connection.execute(text).fetchall()

def grown():
    Path(lake, "tags.csv").open("a").write("more")

def ended():
    os.kill(parent, 0)

attempts = {
    "read outside": lambda: Path(outside, "secret.txt").read_text(),
    "read through a link": lambda: Path(lake, "link.txt").read_text(),
    "read passwords": lambda: Path("/etc/passwd").read_text(),
    "read the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
    "read the first process's environment": lambda: Path("/proc/1/environ").read_bytes(),
    "read the parent's memory": lambda: open(f"/proc/{parent}/mem", "rb"),
    "read a device": lambda: open("/dev/mem", "rb"),
    "list a folder": lambda: os.listdir(outside),
    "list processes": lambda: os.listdir("/proc"),
    "write": lambda: Path(lake, "new").write_text("x"),
    "append": grown,
    "truncate": lambda: os.truncate(Path(lake, "tags.csv"), 0),
    "open to truncate": lambda: os.open(Path(lake, "tags.csv"), os.O_RDONLY | os.O_TRUNC),
    "remove": lambda: Path(lake, "tags.csv").unlink(),
    "rename": lambda: Path(lake, "tags.csv").rename(Path(lake, "x")),
    "link": lambda: os.link(Path(lake, "tags.csv"), Path(lake, "x")),
    "make a folder": lambda: Path(lake, "folder").mkdir(),
    "make a file among temporary ones": lambda: Path("/var/tmp/of-the-console").write_text("x"),
    "run a program": lambda: os.execv("/bin/sh", ["sh", "-c", "true"]),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=1),
    "listen": lambda: socket.create_server(("127.0.0.1", 0)),
    "signal the parent": ended,
    "COPY over a file": sql("COPY (SELECT 1) TO '{lake}/tags.csv' (USE_TMP_FILE false)"),
    "COPY a new file": sql("COPY (SELECT 1) TO '{lake}/new.csv'"),
    "COPY on all threads": sql(
        "COPY (FROM range(3000000)) TO '{lake}/new' (FORMAT parquet, PER_THREAD_OUTPUT)"
    ),
    "ATTACH": sql("ATTACH '{lake}/x.db'"),
    "read_text": sql("FROM read_text('{outside}/secret.txt')"),
    "read_text through a link": sql("FROM read_text('{lake}/link.txt')"),
    "read_blob of the parent": sql("FROM read_blob('/proc/{parent}/environ')"),
    "EXPORT": sql("EXPORT DATABASE '{lake}/export'"),
}
done = {}
for name, attempt in attempts.items():
    try:
        done[name] = repr(attempt())
    except (OSError, duckdb.Error):
        pass
read = connection.execute(f"SELECT count(*) FROM read_csv('{lake}/tags.csv')").fetchall()
print(json.dumps({"attempts": len(attempts), "done": done, "read": read}))
"""


def beyond_this_kernel() -> set[str]:
    """Attempts that the Landlock of an older kernel does not know."""
    known = landlock.version()
    return {
        *(() if known >= 3 else ("truncate", "open to truncate")),
        *(() if known >= 4 else ("connect", "listen")),
        *(() if known >= 6 else ("signal the parent",)),
    }


def test_a_confined_process_reads_its_folder_and_does_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it runs as root, as it does in containers."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    lake, outside = tmp_path / "lake", tmp_path / "outside"
    lake.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    (lake / "tags.csv").write_text("id\n1\n2\n")
    (lake / "link.txt").symlink_to(outside / "secret.txt")

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        arguments = [str(lake), str(outside), str(os.getpid()), str(port)]
        ran = subprocess.run(
            [sys.executable, "-I", "-c", _ATTEMPTS, *arguments],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["done"].keys() <= beyond_this_kernel()
    assert said["attempts"] == 30
    assert said["read"] == [[2]]
    assert sorted(path.name for path in lake.iterdir()) == ["link.txt", "tags.csv"]
    assert (lake / "tags.csv").read_text() == "id\n1\n2\n"
