"""Opens an export of Convex: a ZIP that may come from anybody, read in memory that stays flat."""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import orjson

from grabient_ops.errors import InputError

LONGEST_LINE = 8 << 20
"""Bytes of a document that is looked at; Convex itself holds no more than 1 MiB in one."""

_CATALOGUE = "_tables/documents.jsonl"
_DOCUMENTS = "documents.jsonl"
_SCHEMA = "generated_schema.jsonl"
_LONGEST_SCHEMA = 1 << 20
_MOST_TABLES = 10_000
_END_RECORD = b"PK\5\6"
_LONGEST_END = 22 + 0xFFFF
_MOST_FILES = 0xFFFF
_LARGEST_DIRECTORY = 64 << 20
_LARGEST_RATIO = 400
_HARMLESS_BYTES = 256 << 20
_DAMAGE = (BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, zlib.error)
_PACKED = frozenset({ZIP_STORED, ZIP_DEFLATED})
_CHUNK = 1 << 18
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/|\.DS_Store$|\._)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LOSSY = re.compile(r"(?<![A-Za-z0-9])(?:int64|bytes|-?inf|NaN|float64inf)(?![A-Za-z0-9])")


class Line(NamedTuple):
    """A line of a table; without its text when it is too long."""

    number: int
    text: bytes | None


@dataclass(slots=True)
class Contents:
    """What an export holds.

    Attributes:
        tables: the file of the documents of each table.
        schemas: the file that describes them, where there is one.
        components: the same files of components, which are other people's.
        stored: how many files the deployment has stored.
        strange: how many do not belong into an export.
    """

    tables: dict[str, ZipInfo] = field(default_factory=dict)
    schemas: dict[str, ZipInfo] = field(default_factory=dict)
    components: list[ZipInfo] = field(default_factory=list)
    stored: int = 0
    strange: int = 0


@contextmanager
def open_archive(path: Path) -> "Iterator[Archive]":
    """Open an export.

    Nothing is ever unpacked to the disk, so the names of its files can do no harm.

    Raises:
        InputError: it is none, or would cost more memory or time than any export does.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with file:
        _require_small_directory(file, path)
        try:
            archive = Archive(path, ZipFile(file))
        except (*_DAMAGE, ValueError) as error:
            raise InputError(f"{path} is no ZIP that can be read: {error}") from error
        yield archive


class Archive:
    """An open export.

    Attributes:
        contents: what it holds.
        numbers: the number that the ids of each table carry.
    """

    def __init__(self, path: Path, opened: ZipFile) -> None:
        self._path = path
        self._zip = opened
        files = opened.infolist()
        _refuse_bombs(files, path)
        self.contents = _sort(files, path)
        self.numbers = dict(self._read_numbers())

    def lines(self, file: ZipInfo) -> Iterator[Line]:
        """Yield the lines of a file that are not blank.

        Raises:
            InputError: the file is damaged.
        """
        try:
            with self._zip.open(file) as packed:
                yield from _lines(BufferedReader(cast("RawIOBase", packed), _CHUNK))
        except _DAMAGE as error:
            raise InputError(f"{self._path}: {file.filename} is damaged: {error}") from error

    def require_readable(self, table: str) -> None:
        """Refuse a table whose older format does not say what a value is.

        Raises:
            InputError: it is so.
        """
        file = self.contents.schemas.get(table)
        if file is None:
            return
        with self._zip.open(file) as stream:
            shape = stream.read(_LONGEST_SCHEMA).partition(b"\n")[0].decode("utf-8", "replace")
        try:
            plain = orjson.loads(shape)
        except orjson.JSONDecodeError:
            plain = shape
        if found := _LOSSY.search(_QUOTED.sub("", str(plain))):
            raise InputError(
                f"{self._path}: {table} holds {found[0]}, which its older format writes like a "
                "text; export it again with a Convex of 2026-03-10 or later"
            )

    def _read_numbers(self) -> Iterator[tuple[str, int]]:
        catalogue = self.contents.tables.get("_tables")
        for line in self.lines(catalogue) if catalogue else ():
            entry = orjson.loads(line.text or b"null")
            match entry:
                case {"name": str() as name, "id": int() | float() as number}:
                    yield name, int(number)
                case _:
                    raise InputError(f"{self._path}: line {line.number} of _tables is none")


def _refuse_bombs(files: Sequence[ZipInfo], path: Path) -> None:
    if any(file.compress_type not in _PACKED for file in files):
        raise InputError(f"{path} is packed as no export is")
    size = path.stat().st_size
    unpacked = sum(file.file_size for file in files)
    if unpacked > max(_HARMLESS_BYTES, size * _LARGEST_RATIO):
        raise InputError(
            f"{path} would unpack to {unpacked:,} bytes, {unpacked // size:,} times its size; "
            "no export does that"
        )


def _require_small_directory(file: BinaryIO, path: Path) -> None:
    """The list of files is read as a whole, so it must not be a bomb of its own."""
    size = path.stat().st_size
    file.seek(max(0, size - _LONGEST_END))
    tail = file.read()
    at = tail.rfind(_END_RECORD)
    if at < 0:
        raise InputError(f"{path} is no ZIP")
    count = int.from_bytes(tail[at + 10 : at + 12], "little")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if count == _MOST_FILES or directory > _LARGEST_DIRECTORY:
        raise InputError(f"{path} holds too many files; export without --include-file-storage")
    file.seek(0)


def _sort(files: Sequence[ZipInfo], path: Path) -> Contents:
    """Sort files by what they are; one folder, or more, may stand in front of everything."""
    named = [file for file in files if not file.is_dir() and not _JUNK.search(file.filename)]
    catalogues = [file.filename for file in named if _is_catalogue(file.filename)]
    if not catalogues:
        raise InputError(f"{path} is no export of Convex: it has no {_CATALOGUE}")
    prefix = min(catalogues, key=len).removesuffix(_CATALOGUE)
    contents = Contents()
    for file in named:
        inside = file.filename.startswith(prefix)
        _put(contents, file, file.filename.removeprefix(prefix).split("/") if inside else [])
    return contents


def _put(contents: Contents, file: ZipInfo, parts: list[str]) -> None:
    has_room = len(contents.tables) + len(contents.schemas) < _MOST_TABLES
    match parts:
        case ["README.md"] | ["_components", "_tables", _] | ["_components", *_, "_tables", _]:
            pass
        case ["_components", _, *_, name]:
            if name == _DOCUMENTS:
                contents.components.append(file)
        case ["_storage", name] if name != _DOCUMENTS:
            contents.stored += name != _SCHEMA
        case [table, name] if name == _DOCUMENTS and has_room:
            contents.tables.setdefault(table, file)
        case [table, name] if name == _SCHEMA and has_room:
            contents.schemas.setdefault(table, file)
        case _:
            contents.strange += 1


def _is_catalogue(name: str) -> bool:
    return f"/{name}".endswith(f"/{_CATALOGUE}") and "_components/" not in name


def _lines(stream: BufferedReader) -> Iterator[Line]:
    number = 0
    while piece := stream.readline(LONGEST_LINE):
        number += 1
        text: bytes | None = piece
        while len(piece) == LONGEST_LINE and not piece.endswith(b"\n"):
            text = None
            piece = stream.readline(LONGEST_LINE)
        if text is None or not text.isspace():
            yield Line(number, text)
