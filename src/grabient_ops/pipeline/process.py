"""Tunes the process of a worker: the defaults of Python and the C library suit small scripts."""

import ctypes
import gc

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
