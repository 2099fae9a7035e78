"""Asks the Linux kernel to say when a file is written to; Python's library has no words for it."""

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

_MODIFY, _CREATE, _MOVED_TO = 0x2, 0x100, 0x80
_EVENT = struct.Struct("iIII")
"""Watch, mask, cookie, length of the name that follows (inotify(7))."""


@contextlib.asynccontextmanager
async def written(file: Path) -> AsyncIterator[asyncio.Event | None]:
    """Yield an event that is set when a file is written to; None where no kernel tells.

    Raises:
        OSError: there is no such folder, or the kernel watches too many already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        yield None
        return
    event = asyncio.Event()
    descriptor = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        mask = _MODIFY | _CREATE | _MOVED_TO
        _checked(libc.inotify_add_watch(descriptor, os.fsencode(file.parent), mask))

        def on_events() -> None:
            if file.name in _names(os.read(descriptor, 65536)):
                event.set()

        asyncio.get_running_loop().add_reader(descriptor, on_events)
        yield event
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _names(events: bytes) -> Iterator[str]:
    start = 0
    while start < len(events):
        *_, length = _EVENT.unpack_from(events, start)
        start += _EVENT.size
        yield os.fsdecode(events[start : start + length].rstrip(b"\0"))
        start += length
