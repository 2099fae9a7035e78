"""How much another run would change: which tags may come to, or lose, half of the votes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from grabient_ops.analytics.questions.asking import (
    EVERYTHING,
    Selection,
    answer,
    chosen,
    ranges,
)
from grabient_ops.tagging.vocabulary import FIELDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FEWEST_ANSWERS = 5
"""With fewer, words that nobody has said yet could join the consensus; they cannot be counted."""

_PRIOR = 0.5
"""Jeffreys' prior: what a tag's share may be before anybody has voted."""


class Standings(NamedTuple):
    """The rows of `standings.sql` for some palettes, as columns of one length."""

    palette: Integers
    field_tag: Integers
    votes: Integers
    responses: Integers


def standings(cursor: "DuckDBPyConnection", asked: int) -> Iterator[Standings]:
    """Count the tags of all palettes that matter, one range of palettes after the other."""
    for first, last in ranges(cursor):
        bounds = {"first": first, "last": last, "asked": asked, "fields": FIELDS}
        columns = answer(cursor, "standings", **bounds).fetchnumpy()
        names = ("palette_id", *Standings._fields[1:])
        yield Standings(*(columns[name].astype(np.int64) for name in names))


def expected_flips(
    warehouse: "Warehouse", asked: int, selection: Selection = EVERYTHING
) -> dict[str, float]:
    """Return, by seed, how many tags another run is expected to take into or out of the consensus.

    Palettes with fewer answers than `FEWEST_ANSWERS` are left out.

    Args:
        warehouse: the answers so far.
        asked: answers that another run brings for each palette.
        selection: the answers that count.

    Raises:
        InputError: nothing was ever answered under one of the selection's names.
    """
    with chosen(warehouse, selection) as cursor:
        seeds = dict(cursor.execute("SELECT palette_id, seed FROM palettes").fetchall())
        sums = [sum_flips(part, asked) for part in standings(cursor, asked)]
    return {
        seeds[palette]: flips
        for palettes, some in sums
        for palette, flips in zip(palettes.tolist(), some.tolist(), strict=True)
    }


def sum_flips(part: Standings, asked: int) -> tuple[Integers, Floats]:
    """Return palettes and the flips expected of each; those with too few answers are left out."""
    told = part.responses >= FEWEST_ANSWERS
    palettes, votes, responses = part.palette[told], part.votes[told], part.responses[told]
    # Equal numbers are added up in an equal order, so that a palette's sum is always the same.
    order = np.lexsort((votes, palettes))
    found, places = np.unique(palettes[order], return_inverse=True)
    chances = flip_chance(votes[order], responses[order], asked)
    sums = np.zeros(len(found))
    np.add.at(sums, places, chances)
    return found, sums


def flip_chance(votes: Integers, responses: Integers, asked: int) -> Floats:
    """Return how likely so many further answers change whether half of all give a tag.

    Each further answer gives it with an unknown chance, of which the votes so far tell: the number
    of further votes is beta-binomial.
    """
    chances = np.zeros(len(votes))
    margin = 2 * votes - responses
    contested = np.flatnonzero((margin >= -asked) & (margin < asked))
    v, n = votes[contested], responses[contested]
    yes, no = v + _PRIOR, n - v + _PRIOR
    steps = np.arange(asked)[:, None]
    exactly = ((no + steps) / (yes + no + steps)).prod(axis=0)
    for more in range(asked + 1):
        changes = (2 * (v + more) >= n + asked) != (2 * v >= n)
        chances[contested] += np.where(changes, exactly, 0.0)
        exactly = exactly * (asked - more) / (more + 1) * (yes + more) / (no + asked - more - 1)
    return chances
