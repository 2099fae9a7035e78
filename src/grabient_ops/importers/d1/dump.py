"""Splits a SQL dump into tables and rows, as text: nothing in it is ever executed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, TypeAlias

from grabient_ops.importers.d1.literals import NAME, VALUE, read_name
from grabient_ops.importers.d1.window import Window

LONGEST_ROW = 8 << 20
"""Bytes of a row that is looked at; D1 itself holds no more than 2 MB in one."""

_LONGEST_HEAD = 1 << 16
_LONGEST_TABLE = 1 << 20
_LIST = rb"\(\s*+" + NAME + rb"\s*+(?:,\s*+" + NAME + rb"\s*+)*+\)"
_INSERT = re.compile(
    rb"(?i:(?:INSERT(?:\s++OR\s++\w++)?+|REPLACE)\s++INTO)\s*+(?:" + NAME + rb"\s*+\.\s*+)?"
    rb"(" + NAME + rb")\s*+(" + _LIST + rb")?+\s*+(?i:VALUES)\s*+(?=\()"
)
_ROW = re.compile(
    rb"(\(\s*+" + VALUE + rb"\s*+(?:,\s*+" + VALUE + rb"\s*+)*+\))(?:\s*+([,;])\s*+)?+"
)
_QUOTED = rb"'[^']*+'|\"[^\"]*+\"|`[^`]*+`|\[[^\]]*+\]"
_COMMENT = rb"--[^\n]*+\n|/\*(?:[^*]++|\*(?!/))*+\*/"
_CREATE = re.compile(
    rb"(?i:CREATE\s++(?:TEMP(?:ORARY)?+\s++)?+TABLE)\s*+(?i:IF\s++NOT\s++EXISTS\s*+)?+"
    rb"(?:" + NAME + rb"\s*+\.\s*+)?(" + NAME + rb")\s*+"
    rb"(\((?:[^'\"`\[;/-]++|" + _QUOTED + rb"|" + _COMMENT + rb"|[/-])*+);"
)
_TRIGGER = re.compile(rb"(?i:CREATE\s++(?:TEMP(?:ORARY)?+\s++)?+TRIGGER)\b")
_END = re.compile(rb"(?i:END)\s*+;")
_KIND = re.compile(rb"(?i:(?:CREATE|DROP|ALTER)\s++)?+[A-Za-z]++")
_PLAIN = re.compile(rb"(?:[^'\"`\[;/-]++|" + _QUOTED + rb"|-(?=[^-])|/(?=[^*]))*+")
_CLOSING = {b"'": b"'", b'"': b'"', b"`": b"`", b"[": b"]"}


@dataclass(frozen=True, slots=True)
class Created:
    """A table.

    Attributes:
        definition: what stands between the name and the semicolon.
    """

    table: str
    definition: bytes
    line: int


class Start(NamedTuple):
    """Where a statement begins: in bytes, and its line from 1."""

    position: int = 0
    line: int = 1


class RawRow(NamedTuple):
    """One row that an INSERT holds.

    Attributes:
        columns: the names that the INSERT gives, in parentheses; None where it gives none.
        values: the literals, in parentheses.
        start: of the statement.
    """

    table: str
    columns: bytes | None
    values: bytes
    line: int
    start: Start


@dataclass(frozen=True, slots=True)
class Broken:
    """Rows that cannot be read, to the end of their statement.

    Attributes:
        table: empty where not even that can be told.
    """

    table: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Other:
    """A statement that is neither a table nor rows; it is passed over."""

    kind: str


Statement: TypeAlias = Created | RawRow | Broken | Other


def read_statements(file: BinaryIO, start: Start | None = None) -> Iterator[Statement]:
    """Yield what a dump holds, in order, with little memory however long it is.

    Args:
        file: the dump; only read.
        start: of the first statement that is wanted.
    """
    position, line = start or Start()
    window = Window(file, position, line)
    while window.skip_blank():
        if window.starts(b";"):
            window.forward(1)
            continue
        window.hold(_LONGEST_HEAD)
        if head := window.match(_INSERT):
            yield from _rows(window, read_name(head[1]), head[2], head.end())
        elif created := window.match_within(_CREATE, _LONGEST_TABLE):
            yield Created(read_name(created[1]), created[2], window.line)
            window.move(created.end())
        else:
            yield _other(window)


def _rows(
    window: Window, table: str, columns: bytes | None, start_of_rows: int
) -> Iterator[Statement]:
    start = Start(window.position, window.line)
    window.move(start_of_rows)
    while True:
        line = window.line
        row = window.match_within(_ROW, LONGEST_ROW)
        if row is None:
            yield Broken(table, line, _why_not(window))
            return
        yield RawRow(table, columns, row[1], line, start)
        window.move(row.end())
        if row[2] == b";" or (row[2] is None and not _has_more_rows(window)):
            return


def _has_more_rows(window: Window) -> bool:
    window.skip_blank()
    if window.starts(b","):
        window.forward(1)
        window.skip_blank()
        return True
    # What else may follow, as ON CONFLICT, changes nothing for us.
    skip_statement(window)
    return False


def _why_not(window: Window) -> str:
    start = window.position
    skip_statement(window)
    if window.position - start > LONGEST_ROW:
        return f"The row is longer than {LONGEST_ROW >> 20} MiB."
    return "The statement holds something that is no literal, or is not whole."


def _other(window: Window) -> Statement:
    line = window.line
    word = window.match(_KIND)
    kind = " ".join(word[0][:40].decode().upper().split()) if word else "unreadable text"
    if window.match(_TRIGGER):
        _skip_trigger(window)
    else:
        skip_statement(window)
    if kind.startswith(("INSERT", "REPLACE")):
        return Broken("", line, "The INSERT is not of the form that a dump has.")
    return Other(kind)


def _skip_trigger(window: Window) -> None:
    """A trigger holds statements of its own, which are no rows; it ends where SQLite ends it."""
    while True:
        skip_statement(window)
        if not window.skip_blank():
            return
        if end := window.match(_END):
            window.move(end.end())
            return


def skip_statement(window: Window) -> None:
    """Go behind the next semicolon that ends a statement, or to the end of the file."""
    while True:
        if plain := window.match(_PLAIN):
            window.move(plain.end())
        if not window.hold(2) and window.is_at_end:
            return
        here = window.peek(1)
        if here == b";":
            window.forward(1)
            return
        if not window.skip_comment():
            window.forward(1)
            if here in _CLOSING:
                window.discard(_CLOSING[here])
