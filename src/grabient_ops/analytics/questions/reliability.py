"""How reliable each model is as an annotator, judged by all the others."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from grabient_ops.analytics.dawid_skene import Fit, Votes, fit
from grabient_ops.analytics.questions.asking import EVERYTHING, Selection, answer, chosen
from grabient_ops.tagging.vocabulary import CATEGORIES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse


class Reliability(NamedTuple):
    """One model in one of the four categories of one word.

    Attributes:
        votes: its answers with a word of the vocabulary.
        accuracy: probability that its word is the true one, as Dawid and Skene estimate it.
        confusion: true word -> said word -> probability.
    """

    category: str
    provider: str
    model: str
    votes: int
    accuracy: float
    confusion: dict[str, dict[str, float]]


def reliability(warehouse: "Warehouse", selection: Selection = EVERYTHING) -> list[Reliability]:
    """Estimate each model's reliability without the colours, from the answers alone."""
    with chosen(warehouse, selection) as cursor:
        names = _names(cursor)
        return [row for category in CATEGORIES for row in _judged(cursor, category, names)]


_Names = dict[int, tuple[str, str]]


def _names(cursor: "DuckDBPyConnection") -> _Names:
    rows = cursor.execute("SELECT model_id, provider, model FROM models").fetchall()
    return {number: (provider, model) for number, provider, model in rows}


def _judged(cursor: "DuckDBPyConnection", category: str, names: _Names) -> list[Reliability]:
    words = CATEGORIES[category]
    columns = answer(cursor, "words", category=category, words=[*words]).fetchnumpy()
    if not len(columns["votes"]):
        return []
    _, task = np.unique(columns["palette_id"], return_inverse=True)
    models, worker = np.unique(columns["model_id"], return_inverse=True)
    votes = Votes(task, worker, columns["word"].astype(np.int64), columns["votes"])
    found = fit(votes, len(words))
    accuracy = found.accuracy()
    totals = np.bincount(worker, weights=votes.times)
    rows = [
        Reliability(
            category, *names[int(model)], int(totals[index]), float(accuracy[index]),
            _confusion(found, index, words),
        )
        for index, model in enumerate(models)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row.accuracy, row.provider, row.model))


def _confusion(found: Fit, worker: int, words: tuple[str, ...]) -> dict[str, dict[str, float]]:
    by_truth = found.confusion[worker].T.tolist()
    return {
        true: dict(zip(words, shares, strict=True))
        for true, shares in zip(words, by_truth, strict=True)
    }
