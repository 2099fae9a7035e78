"""What one's own SQL can ask: the views of a lake, for the help beside a console."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.analytics.questions.asking import EVERYTHING, ask, chosen

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse

_FIRST = ("votes", "answers", "refined")
_HIDDEN = ("tallies", "moving")
"""They are there to make `consensus` quick; the console does not have them."""


class Column(NamedTuple):
    """A column and its type, in DuckDB's words."""

    name: str
    type: str


class View(NamedTuple):
    """A view of the lake."""

    name: str
    columns: Sequence[Column]


class _Row(NamedTuple):
    view: str
    name: str
    type: str


def list_views(warehouse: "Warehouse") -> list[View]:
    """Return the views that `console.run_query` knows; those for people come first."""
    with chosen(warehouse, EVERYTHING) as cursor:
        rows = ask(cursor, "views", _Row, first=[*_FIRST], hidden=[*_HIDDEN])
    return [
        View(name, [Column(row.name, row.type) for row in columns])
        for name, columns in groupby(rows, key=lambda row: row.view)
    ]
