"""How far the answers agree: Krippendorff's alpha, and each pair of models."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from grabient_ops.analytics.questions.asking import (
    EVERYTHING,
    MOST_MASKED,
    Selection,
    answer,
    ask,
    chosen,
    ranges,
    sql_of,
)
from grabient_ops.errors import InputError
from grabient_ops.tagging.vocabulary import CATEGORIES, LIST_FIELDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse


class Agreement(NamedTuple):
    """How far all answers to the same palettes agree in one category.

    Attributes:
        palettes: those with two answers or more.
        answers: to these palettes.
        alpha: Krippendorff's alpha: 1 is full agreement, 0 what chance would give; None where
            everybody always says the same thing.
    """

    category: str
    palettes: int
    answers: int
    alpha: float | None


class PairAgreement(NamedTuple):
    """How far two models agree in one category.

    Attributes:
        model_a, model_b: `provider/model`.
        tags: (palette, tag) pairs that one of them gave, on palettes that both answered.
        jaccard: how many of these both gave, 0 to 1.
    """

    category: str
    model_a: str
    model_b: str
    tags: int
    jaccard: float


def agreement(warehouse: "Warehouse", selection: Selection = EVERYTHING) -> list[Agreement]:
    """Compute Krippendorff's alpha of each category; every answer is a coder of its palette.

    Two answers differ by the number of tags that only one of them gave. For the four categories
    of one word that is the nominal alpha.

    Source:
        K. Krippendorff, Computing Krippendorff's alpha-reliability (2011).
    """
    with chosen(warehouse, selection) as cursor:
        _gather_parts(cursor)
        rows = ask(cursor, "agreement", _Disagreement)
    return [Agreement(row.category, row.palettes, row.answers, row.alpha) for row in rows]


def _gather_parts(cursor: "DuckDBPyConnection") -> None:
    """Make the table `parts`, one range of palettes after the other, so that memory stays flat."""
    fields: dict[str, object] = {"words": [*CATEGORIES], "lists": [*LIST_FIELDS]}
    query = sql_of("agreement_parts")
    cursor.execute(f"CREATE TEMP TABLE parts AS {query}", {**fields, "first": 0, "last": -1})
    for first, last in ranges(cursor):
        cursor.execute(f"INSERT INTO parts {query}", {**fields, "first": first, "last": last})


class _Disagreement(NamedTuple):
    category: str
    palettes: int
    answers: int
    observed: float
    expected: float

    @property
    def alpha(self) -> float | None:
        return 1 - self.observed / self.expected if self.expected else None


def pair_agreement(
    warehouse: "Warehouse", selection: Selection = EVERYTHING
) -> list[PairAgreement]:
    """Compare each two models: the tags that both gave among those that one of them gave.

    All chosen runs of a model count together, and palettes that only one of them answered are
    left out; pairs without common palettes have no row.

    Raises:
        InputError: a name is unknown, or the lake knows too many models.
    """
    with chosen(warehouse, selection) as cursor:
        names = _names(cursor)
        tally = _tally(cursor)
    columns = np.array([(*key[1:], count) for key, count in tally.items()], dtype=np.int64)
    present, given, tags = columns.reshape(-1, 3).T
    category = np.array([key[0] for key in tally], dtype=str)
    found = []
    for (a, first), (b, second) in combinations(sorted(names.items(), key=lambda i: i[1]), 2):
        both = (1 << a) | (1 << b)
        common = (present & both) == both
        named = given & both
        for word in np.unique(category):
            here = common & (category == word)
            either = int(tags[here & (named != 0)].sum())
            shared = int(tags[here & (named == both)].sum())
            if either:
                found.append(PairAgreement(str(word), first, second, either, shared / either))
    return sorted(found)


def _tally(cursor: "DuckDBPyConnection") -> Counter[tuple[str, int, int]]:
    """Count tags by category, models present and models that gave them."""
    tally: Counter[tuple[str, int, int]] = Counter()
    for first, last in ranges(cursor):
        rows = answer(cursor, "agreement_of_models", first=first, last=last).fetchall()
        for category, present, models, tags in rows:
            tally[category, present, models] += tags
    return tally


def _names(cursor: "DuckDBPyConnection") -> dict[int, str]:
    query = """SELECT model_id, provider || '/' || model FROM models
               WHERE model_id IN (SELECT DISTINCT model_id FROM chosen_responses WHERE ok)"""
    names: dict[int, str] = dict(cursor.execute(query).fetchall())
    if any(number > MOST_MASKED for number in names):
        raise InputError(
            "pairs can be compared among the first 63 models only; choose with --model"
        )
    return names


def mean_of_pairs(pairs: Sequence[PairAgreement]) -> dict[tuple[str, str], float]:
    """Take the mean Jaccard of each pair over its categories, the most alike first."""
    shares: dict[tuple[str, str], list[float]] = {}
    for pair in pairs:
        shares.setdefault((pair.model_a, pair.model_b), []).append(pair.jaccard)
    means = {models: fmean(some) for models, some in shares.items()}
    return dict(sorted(means.items(), key=lambda item: (-item[1], item[0])))
