"""Reads an export of Convex, table by table."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipInfo

import orjson

from grabient_ops.errors import InputError
from grabient_ops.importers.convex.archive import LONGEST_LINE, Archive, Line, open_archive
from grabient_ops.importers.convex.documents import TABLES, Document, read_document
from grabient_ops.importers.convex.ids import table_number
from grabient_ops.importers.values import Passed, Place, Progressed, Record, Refused

_PASSED = {
    "palette_tag_consensus": "computed anew",
    "stats_cache": "computed anew",
    "_storage": "stored files are not needed",
}
_PROGRESS_EVERY = 10_000


def read_export(path: Path) -> Iterator[Record]:
    """Yield everything that an export holds, in a stable order.

    Both formats are understood, and a folder in front of everything, as from packing it again.

    Raises:
        InputError: the file is no export, or holds something that its format does not tell apart.
    """
    with open_archive(path) as archive:
        contents = archive.contents
        taken = [table for table in TABLES if table in contents.tables]
        if not taken:
            raise InputError(f"{path} holds no table of the first system")
        for table in taken:
            archive.require_readable(table)
        total = sum(contents.tables[table].file_size for table in taken)
        before = 0
        for table in taken:
            file = contents.tables[table]
            yield from _documents(archive, table, file, before, total)
            before += file.file_size
        yield from _passed(archive)


def _documents(
    archive: Archive, table: str, file: ZipInfo, before: int, total: int
) -> Iterator[Record]:
    read = before
    for line in archive.lines(file):
        read += len(line.text or b"")
        if line.number % _PROGRESS_EVERY == 0:
            yield Progressed(read, total)
        document = _document(archive, line, Place(table, line.number))
        if isinstance(document, Refused):
            yield document
        else:
            yield from read_document(table, document, Place(table, line.number))
    yield Progressed(before + file.file_size, total)


def _document(archive: Archive, line: Line, place: Place) -> Document | Refused:
    if line.text is None:
        return Refused(place, f"The line is longer than {LONGEST_LINE >> 20} MiB.")
    try:
        document = orjson.loads(line.text)
    except orjson.JSONDecodeError:
        return Refused(place, "The line is no JSON, or is nested too deep.")
    if not isinstance(document, dict):
        return Refused(place, "The line is no object.")
    given = document.get("_id")
    number = table_number(given)
    if number is None:
        return Refused(place, "Its _id is no id of Convex.", str(given))
    if number != archive.numbers.get(place.table):
        return Refused(place, "Its _id belongs to another table.", str(given))
    return document


def _passed(archive: Archive) -> Iterator[Passed]:
    contents = archive.contents
    for table, file in contents.tables.items():
        if table not in TABLES and table != "_tables":
            rows = sum(1 for _ in archive.lines(file))
            yield Passed(table, rows, _PASSED.get(table, "not needed"))
    if contents.components:
        rows = sum(1 for file in contents.components for _ in archive.lines(file))
        yield Passed("_components", rows, "tables of components are not needed")
    if contents.stored:
        yield Passed("stored files", contents.stored, "not needed")
    if contents.strange:
        yield Passed("other files", contents.strange, "no part of an export")
