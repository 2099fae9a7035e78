"""One way to read both files in which the site's database may come: a dump, or SQLite's own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Protocol, TypeAlias, assert_never

from grabient_ops.importers.d1.dump import (
    Broken,
    Created,
    Other,
    RawRow,
    Start,
    read_statements,
)
from grabient_ops.importers.d1.literals import Value, count_values, read_values
from grabient_ops.importers.d1.schema import columns_in, known_columns, names_in
from grabient_ops.importers.values import Place, Progressed, Refused


class Row(NamedTuple):
    """One row of a table, its cells by the names of their columns."""

    place: Place
    cells: dict[str, Value]


Item: TypeAlias = Row | Refused | Progressed


@dataclass
class Survey:
    """What a file holds.

    Attributes:
        columns: of every table, by its name.
        rows: how many every table has.
        others: statements that are neither tables nor rows, by their first words.
    """

    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


class D1Source(Protocol):
    """An open file."""

    @property
    def survey(self) -> Survey:
        """What the file holds; complete once `look` has ended."""
        ...

    def look(self) -> Iterator[Progressed | Refused]:
        """Take the survey; what no row can be made of is refused."""
        ...

    def rows(self, table: str) -> Iterator[Item]:
        """Yield the rows of a table of the survey, in order."""
        ...


_MOST_TABLES = 10_000
_PROGRESS_EVERY = 1 << 22
_ODD = "of further kinds"


@dataclass
class _Extent:
    """Where the first and the last statement with rows of a table begin."""

    first: Start
    last: Start


class DumpSource:
    """A dump, read twice: once as a whole, then again for the tables that are wanted.

    Args:
        file: the dump; only read.
        size: in bytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._extents: dict[str, _Extent] = {}
        self.survey = Survey()

    def look(self) -> Iterator[Progressed | Refused]:
        """Take the survey; what no row can be made of is refused."""
        shown = 0
        for statement in read_statements(self._file):
            if isinstance(statement, Broken):
                yield Refused(Place(statement.table or "?", statement.line), statement.reason)
            else:
                self._note(statement)
            if isinstance(statement, RawRow) and statement.start.position >= shown:
                shown = statement.start.position + _PROGRESS_EVERY
                yield Progressed(statement.start.position, self._size)

    def rows(self, table: str) -> Iterator[Item]:
        """Yield the rows of a table, in order."""
        extent = self._extents.get(table)
        if extent is None:
            return
        shown = 0
        for statement in read_statements(self._file, extent.first):
            if not isinstance(statement, RawRow):
                continue
            if statement.start > extent.last:
                return
            if statement.start.position >= shown:
                shown = statement.start.position + _PROGRESS_EVERY
                yield Progressed(statement.start.position, self._size)
            if statement.table == table:
                yield self._row(statement)

    def _note(self, statement: Created | RawRow | Other) -> None:
        match statement:
            case RawRow():
                self._note_row(statement)
            case Created():
                if len(self.survey.columns) < _MOST_TABLES:
                    self.survey.columns[statement.table] = columns_in(statement.definition)
            case Other():
                _count(self.survey.others, statement.kind)
            case _:
                assert_never(statement)

    def _note_row(self, row: RawRow) -> None:
        _count(self.survey.rows, row.table)
        if extent := self._extents.get(row.table):
            extent.last = row.start
        elif len(self._extents) < _MOST_TABLES:
            self._extents[row.table] = _Extent(row.start, row.start)
            self._note_columns(row)

    def _note_columns(self, row: RawRow) -> None:
        """Learn from its first row what nothing else has said about a table."""
        if row.table in self.survey.columns:
            return
        names = names_in(row.columns) if row.columns else None
        names = names or known_columns(row.table, count_values(row.values))
        if names is not None:
            self.survey.columns[row.table] = names

    def _row(self, row: RawRow) -> Item:
        place = Place(row.table, row.line)
        names = names_in(row.columns) if row.columns else self.survey.columns.get(row.table)
        if names is None:
            return Refused(place, "Nothing says which columns the table has.")
        try:
            values = read_values(row.values)
        except ValueError:
            return Refused(place, "A text of the row is not UTF-8, or is not whole.")
        if len(names) != len(values):
            return Refused(place, "The row has more or fewer values than its table has columns.")
        return Row(place, dict(zip(names, values, strict=True)))


def _count(counts: dict[str, int], name: str) -> None:
    known = name if name in counts or len(counts) < _MOST_TABLES else _ODD
    counts[known] = counts.get(known, 0) + 1
