"""Takes a multipart upload apart on disk, so that a 200 MB file never sits in memory."""

import mmap
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from grabient_ops.sandbox.http import ApiError

_MOST_SPOOLED = 1 << 30
_BOUNDARY = re.compile(r'multipart/form-data;.*boundary="?([^";]+)"?', re.IGNORECASE)
_NAME = re.compile(rb'[; ]name="([^"]*)"')
_FILENAME = re.compile(rb'filename="([^"]*)"')


@dataclass(slots=True)
class Form:
    """What was uploaded; the file's bytes are in the target that the caller named.

    Attributes:
        fields: the plain fields.
        filename: as the client named it; None when there was no file part.
        size: bytes of the file part.
    """

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    size: int = 0


async def spool(stream: AsyncIterator[bytes], target: Path) -> int:
    """Write a request's body to a file and return its size; beyond a limit it is only counted."""
    size = 0
    with target.open("wb") as file:
        async for chunk in stream:
            size += len(chunk)
            if size <= _MOST_SPOOLED:
                file.write(chunk)
    return size


def take_apart(body: Path, content_type: str, target: Path) -> Form:
    """Read a spooled multipart body and write its file part to `target`.

    Raises:
        ApiError: not a multipart form (400).
    """
    boundary = _BOUNDARY.match(content_type)
    if boundary is None or not body.stat().st_size:
        raise ApiError(400, "Expected a multipart/form-data upload.")
    form = Form()
    with body.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for start, end in _parts(view, b"--" + boundary[1].encode()):
            _take(view, start, end, form, target)
    return form


def _parts(view: mmap.mmap, mark: bytes) -> list[tuple[int, int]]:
    parts = []
    here = view.find(mark)
    while here >= 0:
        start = here + len(mark) + 2
        here = view.find(b"\r\n" + mark, start)
        if here < 0:
            break
        parts.append((start, here))
        here += 2
    return parts


def _take(view: mmap.mmap, start: int, end: int, form: Form, target: Path) -> None:
    head_end = view.find(b"\r\n\r\n", start, end)
    if head_end < 0:
        return
    head = view[start:head_end]
    name, filename = _NAME.search(head), _FILENAME.search(head)
    if name is None:
        return
    start = head_end + 4
    if filename is None:
        form.fields[name[1].decode(errors="replace")] = view[start:end].decode(errors="replace")
        return
    form.filename, form.size = filename[1].decode(errors="replace"), end - start
    view.seek(start)
    with target.open("wb") as out:
        left = form.size
        while left > 0:
            left -= out.write(view.read(min(left, 1 << 20)))
