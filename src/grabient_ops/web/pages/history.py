"""All workflows there have been, by stage, state, model and day; and what was asked for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple, get_args
from urllib.parse import urlencode

from grabient_ops.providers.base import PROVIDERS
from grabient_ops.store.batches import OPEN_STATES, StoredState
from grabient_ops.store.history import (
    BatchFilter,
    browse_batches,
    count_outcomes,
    list_asked_models,
)
from grabient_ops.store.passes import Pass, list_passes
from grabient_ops.tagging.kinds import KINDS, Kind
from grabient_ops.web.fields import Day, Word
from grabient_ops.web.journey import journey
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Page

_PER_PAGE = 50
_PASSES = 12
_IN_FLIGHT = "in flight"
STATES = (_IN_FLIGHT, *get_args(StoredState))


@dataclass(frozen=True, slots=True)
class Shown:
    """Which workflows, and which page of them; "" stands for no choice.

    Attributes:
        state: a stage of batches, or `in flight`.
        model: as `provider/model`.
        begin, end: days in UTC, both included.
        after, before: batches next to the page.
    """

    kind: Literal["", Kind] = ""
    state: Word = ""
    provider: Word = ""
    model: Word = ""
    prompt: Word = ""
    begin: Day = None
    end: Day = None
    after: Word = ""
    before: Word = ""

    @property
    def words(self) -> dict[str, str]:
        """The filter as it stands in an address."""
        names = ("kind", "state", "provider", "model", "prompt", "begin", "end")
        return {name: str(word) for name in names if (word := getattr(self, name))}

    def address(self, **place: str) -> str:
        """Return the address of another page of the same workflows."""
        words = {**self.words, **place}
        return f"/history?{urlencode(words)}" if words else "/history"

    @property
    def wanted(self) -> BatchFilter:
        """The filter as the store takes it."""
        provider, _, model = self.model.partition("/")
        return BatchFilter(
            kind=self.kind,
            states=OPEN_STATES if self.state == _IN_FLIGHT else (self.state,) * bool(self.state),
            provider=self.provider or provider,
            model=model,
            prompt_version=self.prompt,
            since=_midnight(self.begin),
            until=_midnight(self.end, timedelta(days=1)),
        )


class PassRow(NamedTuple):
    """A pass as it was asked for, in words."""

    item: Pass
    models: list[str]
    words: list[str]


def _midnight(day: date | None, later: timedelta = timedelta()) -> datetime | None:
    if day is None or day > date.max - later:
        return None
    return datetime.combine(day, time(), UTC) + later


def _read_batches(reading: Reading, shown: Shown) -> Context:
    page = browse_batches(
        reading.connection, _PER_PAGE, shown.wanted, older_than=shown.after, newer_than=shown.before
    )
    ids = [batch.id for batch in page.batches]
    return {
        "rows": [journey(batch) for batch in page.batches],
        "outcomes": count_outcomes(reading.connection, ids),
        "previous": shown.address(before=ids[0]) if page.has_newer and ids else None,
        "next": shown.address(after=ids[-1]) if page.has_older and ids else None,
        "first": shown.address(),
        "is_filtered": bool(shown.words),
    }


def _read_passes(reading: Reading, _shown: Shown) -> Context:
    found = sorted(list_passes(reading.connection), key=lambda item: item.updated_at)
    return {"passes": [_row(item) for item in found[: -_PASSES - 1 : -1]], "count": len(found)}


def _row(item: Pass) -> PassRow:
    asked = item.asked
    words = [
        f"{asked['runs']} runs" if asked.get("runs", 1) > 1 else "",
        f"{asked['limit']:,} palettes" if asked.get("limit") else "",
        f"settled below {asked['flips']} flips" if asked.get("flips") is not None else "",
        f"pictures {asked['pictures'] or 'none'}" if "pictures" in asked else "",
        "began by itself" if "after" in asked else "",
    ]
    return PassRow(item, asked.get("models", []), [word for word in words if word])


def _read_frame(reading: Reading, _shown: Shown) -> Context:
    models = [f"{provider}/{model}" for provider, model in list_asked_models(reading.connection)]
    return {"kinds": KINDS, "states": STATES, "providers": PROVIDERS,
            "models": models}  # fmt: skip


PAGE = Page(
    path="/history",
    title="History",
    template="history.html",
    params=Shown,
    panels=(
        Panel("history-batches", frozenset({"batches"}), "history/batches.html", _read_batches),
        Panel(
            "history-passes", frozenset({"targets", "budgets"}), "history/passes.html", _read_passes
        ),
    ),
    frame=_read_frame,
)
