"""What fewer runs would have meant for a pass: what they save, and how far the tags still agree."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from grabient_ops.analytics.questions.asking import EVERYTHING, Selection, ask, chosen
from grabient_ops.analytics.questions.flips import (
    Floats,
    Integers,
    Standings,
    standings,
    sum_flips,
)
from grabient_ops.analytics.questions.usage import ModelPrices, Used, lay_out_prices

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse

THRESHOLDS = (0.1, 0.25, 0.5, 1.0)
_TAG_BITS = 36
"""A `field_tag` is a field, less than 16, beside a `tag_id` of 32 bits."""


class Stopping(NamedTuple):
    """A rule when to stop asking, tried on answers that are all there.

    Attributes:
        run: everybody stops after this run; None where each palette stops by itself.
        flips: a palette stops after the first run from which on another one is expected to change
            fewer tags than this; None where all stop together.
        palettes: those with answers in the last run, which alone are judged.
        agreement: mean Jaccard index, 0 to 1, of the tags that half of the answers gave when they
            stopped, and in the end.
        requests: what was asked about these palettes, with every attempt.
        saved_requests: those that would not have been made.
        cost_usd: at batch prices; None when no price is known.
        saved_usd: the part of it that would not have been spent.
    """

    run: int | None
    flips: float | None
    palettes: int
    agreement: float
    requests: int
    saved_requests: int
    cost_usd: float | None
    saved_usd: float | None

    @property
    def saved_share(self) -> float:
        """The saved part of the requests, 0 to 1."""
        return self.saved_requests / self.requests


class _Story(NamedTuple):
    """How the consensus of the palettes went through the runs.

    Attributes:
        runs: their numbers.
        palettes: `palette_id` of those that have answers in the last run.
        flips: expected of a further run, after each run but the last; NaN where nothing is told.
        agreement: with the consensus after the last run, after each run.
    """

    runs: Sequence[int]
    palettes: Integers
    flips: Floats
    agreement: Floats


def stopping(
    warehouse: "Warehouse",
    prices: Iterable[ModelPrices] = (),
    selection: Selection = EVERYTHING,
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[Stopping]:
    """Try every run but the last, then every threshold; nothing where there is only one run."""
    story = _follow(warehouse, selection)
    if len(story.runs) < 2:
        return []
    with chosen(warehouse, selection) as cursor:
        lay_out_prices(cursor, prices)
        bill = _Bill(cursor, story)
        together = [bill.row(run, None, np.full_like(story.palettes, run)) for run in story.runs]
        alone = [bill.row(None, flips, _stops(story, flips)) for flips in thresholds]
    return together[:-1] + alone


def _follow(warehouse: "Warehouse", selection: Selection) -> _Story:
    """Look at the answers up to each run, the last one first: the others are held against it."""
    with chosen(warehouse, selection) as cursor:
        runs = _column(cursor, "SELECT DISTINCT run_number FROM chosen_responses WHERE ok").tolist()
        palettes = _column(
            cursor,
            "SELECT DISTINCT palette_id FROM chosen_responses WHERE ok AND run_number ="
            " (SELECT max(run_number) FROM chosen_responses WHERE ok)",
        )
        voters = "SELECT DISTINCT prompt_id, model_id FROM chosen_responses WHERE ok"
        asked = len(cursor.execute(voters).fetchall())
    flips = np.full((len(runs), len(palettes)), np.nan)
    agreement = np.ones((len(runs), len(palettes)))
    whole = None
    for place in reversed(range(len(runs))):
        until = selection._replace(runs=runs[: place + 1])
        ids, sums, agreed = _look(warehouse, until, asked)
        found = np.isin(ids, palettes)
        flips[place, np.searchsorted(palettes, ids[found])] = sums[found]
        agreed = agreed[np.isin(agreed >> _TAG_BITS, palettes)]
        whole = agreed if whole is None else whole
        agreement[place] = _jaccard(agreed, whole, palettes)
    return _Story(runs, palettes, flips, agreement)


def _column(cursor: "DuckDBPyConnection", query: str) -> Integers:
    """Return the numbers that a query finds, sorted."""
    return np.array(sorted(row[0] for row in cursor.execute(query).fetchall()), dtype=np.int64)


def _look(
    warehouse: "Warehouse", selection: Selection, asked: int
) -> tuple[Integers, Floats, Integers]:
    """Return palettes, the flips expected of each, and the tags of everybody's consensus."""
    with chosen(warehouse, selection) as cursor:
        parts = [(*sum_flips(part, asked), _agreed(part)) for part in standings(cursor, asked)]
    ids, sums, agreed = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return ids, sums, agreed


def _agreed(part: Standings) -> Integers:
    """Return the tags that half of the answers gave, each with its palette in one number."""
    agreed = 2 * part.votes >= part.responses
    return part.palette[agreed] << _TAG_BITS | part.field_tag[agreed]


def _jaccard(some: Integers, whole: Integers, palettes: Integers) -> Floats:
    """Compare two sets of tags palette by palette; two empty ones are alike."""

    def count(tags: Integers) -> Integers:
        places = np.searchsorted(palettes, tags >> _TAG_BITS)
        return np.bincount(places, minlength=len(palettes))

    both = count(np.intersect1d(some, whole, assume_unique=True))
    either = count(some) + count(whole) - both
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def _stops(story: _Story, flips: float) -> Integers:
    """Return the run after which each palette stops; the last one where it never settles."""
    is_settled = story.flips < flips
    is_settled[-1] = True
    stops: Integers = np.array(story.runs)[is_settled.argmax(axis=0)]
    return stops


class _Bill:
    """Adds up what was asked and spent; the cursor's `chosen_responses` become those to add up."""

    def __init__(self, cursor: "DuckDBPyConnection", story: _Story) -> None:
        self._cursor = cursor
        self._story = story
        cursor.execute("ALTER VIEW chosen_responses RENAME TO all_responses")
        self._all = self._after(np.zeros_like(story.palettes))

    def row(self, run: int | None, flips: float | None, stops: Integers) -> Stopping:
        """Return what it means that each palette stops after its run."""
        places = np.searchsorted(self._story.runs, stops)
        agreement = self._story.agreement[places, np.arange(len(places))].mean()
        (requests, cost_usd), (saved_requests, saved_usd) = self._all, self._after(stops)
        return Stopping(
            run, flips, len(stops), float(agreement), requests, saved_requests, cost_usd, saved_usd
        )

    def _after(self, stops: Integers) -> tuple[int, float | None]:
        """Return the requests of the runs after each palette's stop, and what they cost in USD."""
        self._cursor.register("stops", {"palette_id": self._story.palettes, "stop": stops})
        self._cursor.execute(
            "CREATE OR REPLACE TEMP VIEW chosen_responses AS SELECT all_responses.*"
            " FROM all_responses JOIN stops USING (palette_id) WHERE run_number > stop"
        )
        found = ask(self._cursor, "usage", Used, by=[])
        return (found[0].requests, found[0].cost_usd) if found else (0, 0.0)
