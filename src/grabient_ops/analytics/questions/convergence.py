"""Whether further runs still pay: how much the consensus moves with each."""

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.analytics.questions.asking import EVERYTHING, Selection, ask, chosen, ranges
from grabient_ops.tagging.vocabulary import FIELDS

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse


class Convergence(NamedTuple):
    """How the consensus of one category moved when one run came in.

    Attributes:
        palettes: those with answers in this run and in an earlier one.
        distance: mean Jaccard distance, 0 to 1, between the tags that at least half of the answers
            gave before this run and with it.
        stable: share of the palettes whose tags stayed the same.
    """

    category: str
    run: int
    palettes: int
    distance: float
    stable: float


class _Moves(NamedTuple):
    category: str
    run: int
    palettes: int
    moved: float
    changed: int


def convergence(warehouse: "Warehouse", selection: Selection = EVERYTHING) -> list[Convergence]:
    """Follow the consensus through the runs; by category and run, from the second run on."""
    sums: dict[tuple[str, int], list[_Moves]] = defaultdict(list)
    with chosen(warehouse, selection) as cursor:
        for first, last in ranges(cursor):
            bounds = {"first": first, "last": last, "categories": [*FIELDS]}
            for row in ask(cursor, "convergence", _Moves, **bounds):
                sums[row.category, row.run].append(row)
    return [_summed(category, run, rows) for (category, run), rows in sorted(sums.items())]


def _summed(category: str, run: int, rows: list[_Moves]) -> Convergence:
    palettes = sum(row.palettes for row in rows)
    moved = sum(row.moved for row in rows)
    changed = sum(row.changed for row in rows)
    return Convergence(category, run, palettes, moved / palettes, 1 - changed / palettes)
