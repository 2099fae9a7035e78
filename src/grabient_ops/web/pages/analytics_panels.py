"""The charts of the page Analytics: what each asks, and how the answer is arranged."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Annotated, Literal, NamedTuple, TypeVar
from urllib.parse import urlencode

from fastapi import Query

from grabient_ops.analytics.questions.accuracy import JUDGED, accuracy
from grabient_ops.analytics.questions.agreement import agreement, mean_of_pairs, pair_agreement
from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.convergence import Convergence, convergence
from grabient_ops.analytics.questions.reliability import reliability
from grabient_ops.analytics.questions.stopping import stopping
from grabient_ops.analytics.questions.tags import top_tags
from grabient_ops.analytics.questions.usage import errors, usage
from grabient_ops.analytics.questions.versions import version_difference, versions
from grabient_ops.analytics.warehouse import EmptyLakeError
from grabient_ops.store.spent import Spent, list_spent
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS
from grabient_ops.web.charts import Cell, Curve, Point, curve, matrix
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import Topic

T = TypeVar("T")
View = Literal["tags", "prompts", "agreement", "accuracy", "convergence", "cost", "errors"]
Word = Annotated[str, Query(max_length=300, pattern="^[^\\x00]*$")]
_MOST_TAGS, _FEW_TAGS = 50, 6
_MOST_DIFFERENCES = 40
_PICO = 1e12


@dataclass(frozen=True, slots=True)
class Shown:
    """Which questions, and about which answers; "" stands for all of them.

    Attributes:
        model: as `provider/model`.
        source: `own`, or the system that answers came from.
        category: of the top tags.
        old, new: prompt versions to compare.
    """

    view: View = "tags"
    prompt: Word = ""
    model: Word = ""
    run: Annotated[str, Query(pattern="^[0-9]{0,6}$")] = ""
    source: Word = ""
    category: Word = ""
    old: Word = ""
    new: Word = ""

    @property
    def selection(self) -> Selection:
        """The answers that are chosen."""
        return Selection(
            (self.prompt,) if self.prompt else (),
            (self.model,) if self.model else (),
            (int(self.run),) if self.run else (),
            (self.source,) if self.source else (),
        )

    @property
    def is_filtered(self) -> bool:
        """Whether some answers are left out."""
        return bool(self.prompt or self.model or self.run or self.source)

    def address(self, view: str) -> str:
        """Return the address of other questions about the same answers."""
        words = {
            "prompt": self.prompt, "model": self.model, "run": self.run, "source": self.source,
        }  # fmt: skip
        chosen = {name: word for name, word in words.items() if word}
        return f"/analytics?{urlencode({'view': view, **chosen})}"


def _ask(
    reading: Reading, question: Callable[..., list[T]], *args: Hashable, **options: Hashable
) -> list[T]:
    """Ask the warehouse; before anything is in it, nothing is the answer."""
    try:
        return reading.ask(question, *args, **options)
    except EmptyLakeError:
        return []


def _read_top(reading: Reading, shown: Shown) -> Context:
    category = shown.category or None
    rows = _ask(reading, top_tags, shown.selection, category=category, limit=_MOST_TAGS)
    return {"rows": rows}


def _read_categories(reading: Reading, shown: Shown) -> Context:
    rows = _ask(reading, top_tags, shown.selection, limit=_FEW_TAGS, per_category=True)
    found = [(field, [row for row in rows if row.category == field]) for field in FIELDS]
    return {"categories": [(field, tags) for field, tags in found if tags]}


def _read_versions(reading: Reading, shown: Shown) -> Context:
    return {"rows": _ask(reading, versions, shown.selection)}


def _read_difference(reading: Reading, shown: Shown) -> Context:
    known = [row.prompt_version for row in _ask(reading, versions, Selection()) if row.answered]
    old, new = shown.old, shown.new
    if len(known) < 2 or (old and old == new):
        return {"rows": [], "known": known, "old": old, "new": new, "compared": 0, "longest": 1}
    new = new or next(version for version in reversed(known) if version != old)
    old = old or next(version for version in reversed(known) if version != new)
    rows = _ask(reading, version_difference, old, new, shown.selection._replace(prompts=()))
    first = rows[:_MOST_DIFFERENCES]
    longest = max((abs(row.difference) for row in first), default=1) or 1
    return {
        "rows": first, "known": known, "old": old, "new": new,
        "compared": len(rows), "longest": longest,
    }  # fmt: skip


def _read_alpha(reading: Reading, shown: Shown) -> Context:
    rows = _ask(reading, agreement, shown.selection)
    return {"rows": sorted(rows, key=lambda row: FIELDS.index(row.category))}


def _read_pairs(reading: Reading, shown: Shown) -> Context:
    means = mean_of_pairs(_ask(reading, pair_agreement, shown.selection))
    low, high = min(means.values(), default=0.0), max(means.values(), default=0.0)
    cells = {}
    for (a, b), mean in means.items():
        heat = (mean - low) / (high - low) if high > low else 0.5
        cells[a, b] = Cell(heat, f"{mean:.2f}", f"{a} and {b} share {mean:.1%} of their tags")
        cells[b, a] = cells[a, b]
    return {"matrix": matrix(cells)}


def _read_accuracy(reading: Reading, shown: Shown) -> Context:
    rows = _ask(reading, accuracy, shown.selection)
    cells = {
        (f"{row.provider}/{row.model}", row.category): Cell(
            row.precision,
            f"{row.precision:.0%}",
            f"{row.hits:,} of {row.said:,} tags are borne out by the colours;"
            f" {row.hits:,} of {row.due:,} true ones were said",
        )
        for row in rows
        if row.precision is not None
    }
    return {"matrix": matrix(cells, JUDGED)}


def _read_reliability(reading: Reading, shown: Shown) -> Context:
    rows = _ask(reading, reliability, shown.selection)
    cells = {
        (f"{row.provider}/{row.model}", row.category): Cell(
            row.accuracy, f"{row.accuracy:.0%}", f"judged by {row.votes:,} votes"
        )
        for row in rows
    }
    return {"matrix": matrix(cells, [*CATEGORIES])}


class Moves(NamedTuple):
    """How one category came to rest."""

    category: str
    rows: Sequence[Convergence]
    curve: Curve


def _read_convergence(reading: Reading, shown: Shown) -> Context:
    rows = _ask(reading, convergence, shown.selection)
    found = [(field, [row for row in rows if row.category == field]) for field in FIELDS]
    return {
        "moves": [
            Moves(field, some, curve([(row.run, row.stable) for row in some], top=1.0))
            for field, some in found
            if some
        ]
    }


def _read_stopping(reading: Reading, shown: Shown) -> Context:
    prices = reading.app.model_prices()
    return {"rows": _ask(reading, stopping, prices, shown.selection)}


def _read_spent(reading: Reading, shown: Shown) -> Context:
    run = int(shown.run) if shown.run else None
    rows = list_spent(reading.connection, prompt=shown.prompt, model=shown.model, run=run)
    if shown.source not in {"", "own"}:
        rows = []
    days = [(day, list(some)) for day, some in groupby(rows, lambda row: row.ended_at.date())]
    return {
        "rows": rows,
        "curve": curve(_steps(rows)) if rows else None,
        "total": sum(row.cost for row in rows),
        "days": [(day, _sum(some, "tagging"), _sum(some, "refinement")) for day, some in days],
    }


def _steps(rows: Sequence[Spent]) -> list[Point]:
    """Return how the sum, in USD, grows by steps over the seconds."""
    sums = [0.0, *accumulate(row.cost / _PICO for row in rows)]
    return [
        (row.ended_at.timestamp(), total)
        for row, before_and_after in zip(rows, pairwise(sums), strict=True)
        for total in before_and_after
    ]


def _sum(rows: Sequence[Spent], kind: str) -> int:
    return sum(row.cost for row in rows if row.kind == kind)


def _read_costs(reading: Reading, shown: Shown) -> Context:
    prices = reading.app.model_prices()
    rows = _ask(reading, usage, prices, shown.selection, by=("provider", "model"))
    return {
        "rows": sorted(rows, key=lambda row: -(row.standard_usd or 0)),
        "longest": max((row.standard_usd or 0 for row in rows), default=0) or 1,
        "cost": sum(row.cost_usd or 0 for row in rows),
        "saved": sum(row.saved_usd or 0 for row in rows),
        "unpriced": sum(row.unpriced for row in rows),
    }


def _read_errors(reading: Reading, shown: Shown) -> Context:
    rows = _ask(reading, errors, shown.selection)
    most = max((row.share for row in rows), default=1)
    cells = {
        (f"{row.provider}/{row.model}", row.error_class): Cell(
            row.share / most,
            f"{row.failed:,}",
            f"{row.failed:,} of {row.responses:,} answers, {row.share:.1%}",
        )
        for row in rows
    }
    return {"matrix": matrix(cells), "failed": sum(row.failed for row in rows)}


def _panel(
    name: str, read: Callable[[Reading, Shown], Context], topics: frozenset[Topic] = frozenset()
) -> Panel[Shown]:
    followed = topics or frozenset({"responses", "warehouse"})
    return Panel(f"analytics-{name}", followed, f"analytics/{name}.html", read, pace="heavy")


PANELS: dict[View, tuple[Panel[Shown], ...]] = {
    "tags": (_panel("top", _read_top), _panel("categories", _read_categories)),
    "prompts": (_panel("versions", _read_versions), _panel("difference", _read_difference)),
    "agreement": (_panel("alpha", _read_alpha), _panel("pairs", _read_pairs)),
    "accuracy": (_panel("accuracy", _read_accuracy), _panel("reliability", _read_reliability)),
    "convergence": (
        _panel("convergence", _read_convergence),
        _panel("stopping", _read_stopping),
    ),
    "cost": (
        _panel("spent", _read_spent, frozenset({"batches", "budgets"})),
        _panel("costs", _read_costs),
    ),
    "errors": (_panel("errors", _read_errors),),
}  # fmt: skip
"""By the name of the view."""
