"""A disk that is full for a while: a small one of our own, or a limit on what a process writes."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

_SIZE = "96m"
_CHUNK = bytes(1 << 16)


class Disk(Protocol):
    """Where a home is.

    Attributes:
        folder: its root.
        told: how it gets full.
    """

    folder: Path
    told: str

    def fill(self, pids: list[int]) -> None:
        """Leave no room for these processes."""

    def free(self, pids: list[int]) -> None:
        """Make room again."""


class SmallDisk:
    """A disk in memory, filled by a file."""

    told = "a tmpfs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, pids: list[int]) -> None:
        """Write until nothing more fits."""
        del pids
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (len(_CHUNK), 1):
                with suppress(OSError):
                    while os.write(descriptor, _CHUNK[:size]):
                        pass
        finally:
            os.close(descriptor)

    def free(self, pids: list[int]) -> None:
        """Remove that file."""
        del pids
        self._ballast.unlink(missing_ok=True)


class LimitedDisk:
    """Any folder, and processes that may not write into files."""

    told = "RLIMIT_FSIZE"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, pids: list[int]) -> None:
        """Let every write fail (EFBIG)."""
        self._limit(pids, 0)

    def free(self, pids: list[int]) -> None:
        """Let them write again."""
        self._limit(pids, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(pids: list[int], most: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))


@contextmanager
def disk_below(folder: Path, *, may_mount: bool = True) -> Iterator[Disk]:
    """Make a disk that can be filled; where a small one may not be mounted, by limits."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    if not may_mount or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield LimitedDisk(folder)
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def family_of(pid: int) -> list[int]:
    """Return a process and its children, as far as they live."""
    found = [pid]
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
