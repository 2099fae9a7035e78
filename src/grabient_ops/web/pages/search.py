"""Refined palettes found by meaning."""

from dataclasses import dataclass

from grabient_ops.analytics.search.index import EmptyIndexError
from grabient_ops.web.fields import Word
from grabient_ops.web.finder import tell
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Page

_HITS = 24
_TOLD = ("dominant_colors", "mood", "style", "associations")


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look for."""

    q: Word = ""


def _read_hits(reading: Reading, asked: Asked) -> Context:
    finder = reading.finder
    try:
        if asked.q.strip():
            hits = finder.search(reading.connection, asked.q, _HITS)
            near = [(hit, tell(hit.tags, _TOLD)) for hit in hits if hit.score > 0]
            return {"hits": near, "state": "found"}
        finder.warm_up(reading.connection)
    except EmptyIndexError:
        return {"hits": [], "state": "empty"}
    return {"hits": [], "state": "blank"}


PAGE = Page(
    path="/search",
    title="Search",
    template="search.html",
    params=Asked,
    panels=(
        Panel("search-hits", frozenset({"refinements"}), "search/hits.html", _read_hits, "slow"),
    ),
)
