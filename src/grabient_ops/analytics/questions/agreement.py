"""How far the answers agree: Krippendorff's alpha, and each pair of models."""

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from grabient_ops.analytics.questions.asking import (
    EVERYTHING,
    MOST_MASKED,
    Selection,
    answer,
    ask,
    chosen,
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
        rows = ask(cursor, "agreement", _Disagreement, words=[*CATEGORIES], lists=[*LIST_FIELDS])
    return [Agreement(row.category, row.palettes, row.answers, row.alpha) for row in rows]


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
        columns = answer(cursor, "agreement_of_models").fetchnumpy()
    category, tags = columns["category"], columns["tags"]
    found = []
    for (a, first), (b, second) in combinations(sorted(names.items(), key=lambda i: i[1]), 2):
        both = (1 << a) | (1 << b)
        common = (columns["present"] & both) == both
        named = columns["models"] & both
        for word in np.unique(category):
            here = common & (category == word)
            either = int(tags[here & (named != 0)].sum())
            shared = int(tags[here & (named == both)].sum())
            if either:
                found.append(PairAgreement(str(word), first, second, either, shared / either))
    return sorted(found)


def _names(cursor: "DuckDBPyConnection") -> dict[int, str]:
    query = """SELECT model_id, provider || '/' || model FROM models
               WHERE model_id IN (SELECT DISTINCT model_id FROM chosen_responses WHERE ok)"""
    names: dict[int, str] = dict(cursor.execute(query).fetchall())
    if any(number > MOST_MASKED for number in names):
        raise InputError(
            "pairs can be compared among the first 63 models only; choose with --model"
        )
    return names
