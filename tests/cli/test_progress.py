"""What is shown on a terminal while something takes long."""

import os
import pty
import subprocess
import sys

import pytest

_COUNT = """
from grabient_ops.cli.progress import counting
with counting("reading", "answers") as show:
    {calls}
"""


def _on_a_terminal(script: str) -> str:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", script], stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(
    ("calls", "expected"), [("pass", ""), ("show(10_000); show(1_234_000)", "1,234,000 answers")]
)
def test_a_count_is_shown_once_there_is_something_to_count(calls: str, expected: str) -> None:
    shown = _on_a_terminal(_COUNT.format(calls=calls))

    assert expected in shown
    assert bool(shown) is bool(expected)


def test_elsewhere_nothing_is_shown() -> None:
    script = _COUNT.format(calls="show(1)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert (done.stdout, done.stderr) == (b"", b"")
