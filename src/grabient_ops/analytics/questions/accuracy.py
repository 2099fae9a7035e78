"""How true the models' words are, where the truth can be computed from the colours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from grabient_ops.analytics.patience import keep_to_time
from grabient_ops.analytics.questions.asking import EVERYTHING, Selection, ask, chosen
from grabient_ops.palettes.bulk import read_colours
from grabient_ops.palettes.palette import InvalidSeedError
from grabient_ops.palettes.theory import Facts, facts
from grabient_ops.tagging.vocabulary import CATEGORIES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse

JUDGED = (*CATEGORIES, "dominant_colors", "harmony")
"""The categories that can be computed."""

_BLOCK = 2048


class Accuracy(NamedTuple):
    """One model in one category.

    Attributes:
        responses: its answers to palettes with a valid seed.
        said: tags given, each once for an answer.
        hits: of these, how many the colours bear out.
        due: how many true tags the answers could have given.
    """

    provider: str
    model: str
    category: str
    responses: int
    said: int
    hits: int
    due: int

    @property
    def precision(self) -> float | None:
        """How much of what it said is true; None when it said nothing."""
        return self.hits / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """How much of the truth it said; None when there is none."""
        return self.hits / self.due if self.due else None


def accuracy(warehouse: "Warehouse", selection: Selection = EVERYTHING) -> list[Accuracy]:
    """Hold the models' tags against what the colours say.

    Tags must be the very words of `palettes.theory`: "light blue" is no hit for "blue".
    """
    with chosen(warehouse, selection) as cursor:
        _tell_truth(cursor)
        return ask(cursor, "accuracy", Accuracy, categories=[*JUDGED])


def _tell_truth(cursor: "DuckDBPyConnection") -> None:
    """Make the table `truth`; words that nobody ever said get ids below 0."""
    cursor.execute("CREATE TEMP TABLE truth (palette_id INTEGER, category VARCHAR, tag_id INTEGER)")
    query = "SELECT palette_id, seed FROM palettes ORDER BY palette_id"
    palettes = cursor.execute(query).fetchall()
    ids = _TagIds(cursor.execute("SELECT tag, tag_id FROM tags").fetchall())
    for start in range(0, len(palettes), _BLOCK):
        keep_to_time()
        block = palettes[start : start + _BLOCK]
        known = _facts_of([seed for _, seed in block])
        rows = [
            (palette, category, ids[tag])
            for (palette, _), fact in zip(block, known, strict=True)
            if fact is not None
            for category in JUDGED
            for tag in _tags(fact, category)
        ]
        _insert(cursor, rows)


class _TagIds(dict[str, int]):
    """Id of each tag; what is not in the lake gets a number of its own."""

    def __missing__(self, tag: str) -> int:
        self[tag] = number = -1 - len(self)
        return number


def _facts_of(seeds: Sequence[str]) -> list[Facts | None]:
    try:
        return [*facts(read_colours(seeds))]
    except InvalidSeedError:
        return [_fact_of(seed) for seed in seeds]


def _fact_of(seed: str) -> Facts | None:
    try:
        return facts(read_colours([seed]))[0]
    except InvalidSeedError:
        return None


def _tags(fact: Facts, category: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] = getattr(fact, category)
    return (value,) if isinstance(value, str) else value


def _insert(cursor: "DuckDBPyConnection", rows: list[tuple[int, str, int]]) -> None:
    if rows:
        palettes, categories, tags = zip(*rows, strict=True)
        columns = {
            "palette_id": np.array(palettes),
            "category": np.array(categories, dtype=object),
            "tag_id": np.array(tags),
        }
        cursor.register("block", columns)
        cursor.execute("INSERT INTO truth SELECT palette_id, category, tag_id FROM block")
        cursor.unregister("block")
