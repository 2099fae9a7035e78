"""Takes from this process, by the Linux kernel's Landlock, every file but those it is to read."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

# The same numbers on every architecture; glibc has no wrappers for them.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = (13, 14, 15, 15, 16)
"""How many kinds of access to files version 1, 2, ... of Landlock can take away."""
_TCP = 0b11
"""Bind and connect, from version 4."""
_SCOPES = 0b11
"""Abstract sockets and signals to other processes, from version 6."""

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the version of Landlock in this kernel; 0 when there is none."""
    try:
        return max(0, _call(_CREATE_RULESET, None, 0, _ASK_VERSION))
    except (OSError, AttributeError):
        return 0


def confine(readable: Iterable[str | Path]) -> None:
    """Let the calling thread, and all it will start, read these paths and touch no other.

    Nothing can be written, created, removed or executed any more, no TCP connection be made, where
    the kernel knows how. Files that are open stay open. It cannot be undone, and it holds for root.

    Args:
        readable: files, and folders with all that is in them; missing ones are left out.

    Raises:
        OSError: the kernel refuses, or other threads are running, which it would not hold for.

    Source:
        docs.kernel.org/userspace-api/landlock.html, versions 1 (Linux 5.13) to 7.
    """
    known = version()
    if not known:
        raise OSError("this kernel has no Landlock")
    if sum(1 for _ in Path("/proc/self/task").iterdir()) > 1:
        raise OSError("other threads are running")
    files = (1 << _FILE_RIGHTS[min(known, len(_FILE_RIGHTS)) - 1]) - 1
    tcp = _TCP if known >= 4 else 0
    scopes = _SCOPES if known >= 6 else 0
    handled = struct.pack("=QQQ", files, tcp, scopes)
    rules = _call(_CREATE_RULESET, handled, len(handled), 0)
    for path in readable:
        _allow(rules, path)
    _checked(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _call(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, path: str | Path) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    rights = _READ_FILE | _READ_DIR if Path(path).is_dir() else _READ_FILE
    _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    os.close(place)


def _call(number: int, *arguments: int | bytes | None) -> int:
    return _checked(_libc.syscall(number, *arguments))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
