"""Takes the lock by which writers of a lake take turns; the system gives it back when they end."""

import fcntl
import time
from pathlib import Path

from grabient_ops.errors import StoreError

_LOOK_S = 0.02


class LakeBusyError(StoreError):
    """Another process is writing."""


def acquire(lock: int, wait_s: float, lake: Path) -> None:
    """Lock an open file or folder until it is closed.

    Args:
        lock: its file descriptor.
        wait_s: how long to wait for another writer.
        lake: what is written to, for the message.

    Raises:
        LakeBusyError: another process kept the lock for so long.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise LakeBusyError(f"another process is writing to {lake}; try again") from error
            time.sleep(_LOOK_S)
        else:
            return
