"""Reads seeds from text files: one per line, a CSV column, or JSON lines."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

import orjson

from grabient_ops.errors import InputError
from grabient_ops.palettes.palette import InvalidSeedError, Palette
from grabient_ops.palettes.seed import read_seed, repair_seed

Format: TypeAlias = Literal["lines", "csv", "jsonl"]

LONGEST_LINE = 1 << 20
"""Characters of a line that are looked at; a longer line is refused as a whole."""
_HEAD_LINES = 20
_LONGEST_RECORD = 1000
_LONGEST_QUOTE = 120
_EXTENSIONS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
_DELIMITERS = ",;\t"
_SEED_COLUMN = "seed"
_COMMENT = re.compile(r"(?:^|\s)#.*")
_LOOKS_LIKE_SEED = re.compile(r"[A-Za-z0-9+$_-]{20,}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\ud800-\udfff]")
_NO_TEXT = "It is not UTF-8 text."
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Found:
    """A valid palette.

    Attributes:
        line: where its row begins, from 1.
    """

    line: int
    palette: Palette


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that holds no valid seed.

    Attributes:
        line: where the row begins, from 1.
        seed: what stood in the place of the seed, at most 120 characters of it.
        reason: one sentence.
        suggestion: the seed that was probably meant; never to be taken without a look.
    """

    line: int
    seed: str
    reason: str
    suggestion: str | None = None


class _Row(NamedTuple):
    line: int
    text: str
    problem: str | None = None


_Rows: TypeAlias = Iterator[_Row]


def read_palettes(file: BinaryIO, name: str) -> Iterator[Found | Refused]:
    """Yield what every row of a file holds, in order, with little memory however long it is.

    The format follows from the extension of `name`, else from the first line. Blank lines are
    passed over, and in a file of plain lines also comments (`# ...`).

    Args:
        file: open at its start; only read, not closed.
        name: file name or path.

    Raises:
        InputError: the content is no text, or one JSON array.
    """
    text = TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape")
    try:
        lines = (row for row in _lines(text) if row.problem or not row.text.isspace())
        head = list(islice(lines, _HEAD_LINES))
        if not head:
            return
        if _is_binary("".join(row.text for row in head)):
            raise InputError(f"{name} is not a text file in UTF-8")
        kind = _EXTENSIONS.get(Path(name).suffix.lower()) or _guess(head[0].text, name)
        for row in _READERS[kind](chain(head, lines)):
            yield _judge(row)
    finally:
        text.detach()


def _lines(text: TextIOWrapper) -> _Rows:
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        problem = None
        piece = line
        while len(piece) == LONGEST_LINE and not piece.endswith("\n"):
            problem = f"The line is longer than {LONGEST_LINE:,} characters."
            piece = text.readline(LONGEST_LINE)
        yield _Row(number, line, problem)


def _is_binary(text: str) -> bool:
    return len(_UNPRINTABLE.findall(text)) * 10 > len(text)


def _guess(line: str, name: str) -> Format:
    if line.lstrip().startswith("["):
        raise InputError(f"{name} holds one JSON array; write one object or string per line")
    value = _json(line)
    if isinstance(value, dict) or (isinstance(value, str) and value.lower() != _SEED_COLUMN):
        return "jsonl"
    cells = [cell.strip(' "\r\n') for cell in re.split(f"[{_DELIMITERS}]", line)]
    if _SEED_COLUMN in map(str.lower, cells):
        return "csv"
    return "csv" if len(cells) > 1 and _LOOKS_LIKE_SEED.fullmatch(cells[0]) else "lines"


def _judge(row: _Row) -> Found | Refused:
    text = row.text.strip()
    problem = row.problem
    if problem is None and _NOT_UTF8.search(text):
        problem = _NO_TEXT
    shown = _NOT_UTF8.sub("\ufffd", text[:_LONGEST_QUOTE])
    if problem is not None:
        return Refused(row.line, shown, problem)
    try:
        return Found(row.line, read_seed(text))
    except InvalidSeedError as error:
        return Refused(row.line, shown, error.reason, repair_seed(text))


def _plain_rows(lines: Iterable[_Row]) -> _Rows:
    for row in lines:
        text = _COMMENT.sub("", row.text)
        if text.strip() or row.problem:
            yield row._replace(text=text)


def _json_rows(lines: Iterable[_Row]) -> _Rows:
    for row in lines:
        value = None if row.problem else _json(row.text)
        seed = _seed_in(value) if isinstance(value, dict) else value
        if isinstance(seed, str):
            yield row._replace(text=seed)
        else:
            yield row._replace(problem=row.problem or _json_problem(row.text, value))


def _seed_in(value: dict[str, object]) -> object:
    """Return what the object calls its seed; as in a header of CSV, case does not count."""
    spelled = (name for name in value if name.strip().lower() == _SEED_COLUMN)
    return value.get(_SEED_COLUMN, value.get(next(spelled, "")))


def _json(text: str) -> object:
    """Parse JSON; None when it is none, or nested too deep."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _json_problem(text: str, value: object) -> str:
    if _NOT_UTF8.search(text):
        return _NO_TEXT
    if isinstance(value, dict):
        return 'The object has no text under "seed".'
    return 'The line is neither a JSON object with "seed" nor a JSON string.'


def _csv_rows(lines: Iterable[_Row]) -> _Rows:
    """Take the column `seed`, or the first one where no header names it."""
    column: int | None = None
    for row, cells in _records(iter(lines)):
        if column is None and row.problem is None:
            names = [cell.strip().lower() for cell in cells]
            column = names.index(_SEED_COLUMN) if _SEED_COLUMN in names else 0
            if _SEED_COLUMN in names:
                continue
        if row.problem is not None:
            yield row
        elif any(cells):
            text = cells[column] if column is not None and column < len(cells) else ""
            yield row._replace(text=text)


def _records(lines: _Rows) -> Iterator[tuple[_Row, list[str]]]:
    """Yield the records of a CSV file, each with its first line."""
    first = next(lines)
    delimiter = max(_DELIMITERS, key=first.text.count)
    for block in _blocks(chain([first], lines)):
        try:
            yield from _split(block, delimiter)
        except csv.Error:
            # A quote without a partner costs its own line, never the rest of the file.
            for row in block:
                yield from _split_alone(row, delimiter)


def _blocks(lines: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Group the lines that quotes hold together."""
    block: list[_Row] = []
    is_open = False
    for row in lines:
        block.append(row)
        is_open ^= row.text.count('"') % 2 == 1
        if not is_open or len(block) == _LONGEST_RECORD:
            yield block
            block, is_open = [], False
    if block:
        yield block


def _split(block: Sequence[_Row], delimiter: str) -> list[tuple[_Row, list[str]]]:
    if any(row.problem for row in block):
        raise csv.Error
    reader = csv.reader((row.text for row in block), delimiter=delimiter, strict=True)
    records = []
    start = 0
    for cells in reader:
        records.append((block[start], cells))
        start = reader.line_num
    return records


def _split_alone(row: _Row, delimiter: str) -> Iterator[tuple[_Row, list[str]]]:
    try:
        yield from _split([row], delimiter)
    except csv.Error as error:
        yield row._replace(problem=row.problem or f"The row is no CSV: {error}."), []


_READERS: dict[Format, Callable[[Iterable[_Row]], _Rows]] = {
    "lines": _plain_rows,
    "csv": _csv_rows,
    "jsonl": _json_rows,
}
