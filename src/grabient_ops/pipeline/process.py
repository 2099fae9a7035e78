"""The process of a worker: tuned when it begins, for the defaults suit small scripts; and left."""

import ctypes
import gc
import os
import sys
from typing import NoReturn

_M_ARENA_MAX = -8


def tune_process() -> None:
    """Keep garbage collection and memory in proportion; call it once, when all is imported."""
    # Rows by the thousand are no cycles; walking all imported modules for them costs a tenth.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    # A heap for every thread, glibc's habit, is a fifth of the memory of a pass.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


def leave(code: int, line: str = "") -> NoReturn:
    """End the process as a crash would, which every workflow survives.

    An orderly end would take the threads and the journal from under them, and they would fail.

    Args:
        code: the status to end with.
        line: what to say on stderr before.
    """
    if line:
        sys.stderr.write(line + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
