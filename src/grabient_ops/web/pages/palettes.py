"""All palettes in pages, by seed, by tag, by how far they are and who asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from typing_extensions import override

from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.tagged import TaggedPalette, palettes_by_tag
from grabient_ops.analytics.warehouse import EmptyLakeError
from grabient_ops.errors import InputError
from grabient_ops.store.browsing import (
    PaletteCard,
    State,
    browse_palettes,
    cards_of,
    imported_sources,
    refined_seeds,
)
from grabient_ops.store.palettes import count_palettes
from grabient_ops.web.chrome import CHROME
from grabient_ops.web.fields import Word
from grabient_ops.web.live.panel import Context, Panel, Wanted
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import Topic
from grabient_ops.web.page import Page

_PER_PAGE = 60
_FOLLOWED: frozenset[Topic] = frozenset({"palettes", "responses", "refinements"})
_STATES: tuple[State, ...] = ("untagged", "failed", "tagged", "refined")


@dataclass(frozen=True, slots=True)
class Shown:
    """Which palettes, and which page of them; "" stands for no choice.

    Attributes:
        q: part of the seed.
        tag: a tag that some of the answers gave.
        source: who asked: `own`, or the system that answers came from; only these count.
        after, before: seeds next to the page.
    """

    q: Word = ""
    tag: Word = ""
    state: Literal["", "untagged", "failed", "tagged", "refined"] = ""
    source: Literal["", "own", "d1", "convex"] = ""
    after: Word = ""
    before: Word = ""

    @property
    def is_filtered(self) -> bool:
        """Whether some palettes are left out."""
        return bool(self.q or self.tag or self.state or self.source)

    def address(self, **place: str) -> str:
        """Return the address of another page of the same palettes."""
        chosen = {"q": self.q, "tag": self.tag, "state": self.state, "source": self.source}
        words = {**chosen, **place}
        query = urlencode({name: word for name, word in words.items() if word})
        return f"/palettes?{query}" if query else "/palettes"


class Tile(NamedTuple):
    """A palette in the grid, and how it was given the tag that was asked for, if any was."""

    card: PaletteCard
    tagged: TaggedPalette | None = None


def _read_stored(reading: Reading, shown: Shown) -> Context:
    page = browse_palettes(
        reading.connection, _PER_PAGE,
        text=shown.q, state=shown.state or None, source=shown.source,
        after=shown.after, before=shown.before,
    )  # fmt: skip
    tiles = [Tile(card) for card in page.cards]
    return {
        "total": count_palettes(reading.connection),
        "found": None,
        **_around(shown, tiles, has_before=page.has_before, has_after=page.has_after),
    }


def _read_tagged(reading: Reading, shown: Shown) -> Context:
    found = _tagged(reading, shown)
    start = _start(found, shown)
    ranked = found[start : start + _PER_PAGE]
    tagged = {palette.seed: palette for palette in ranked}
    cards = cards_of(reading.connection, list(tagged), shown.source)
    tiles = [Tile(card, tagged[card.seed]) for card in cards]
    has_after = start + _PER_PAGE < len(found)
    return {
        "total": count_palettes(reading.connection),
        "found": len(found),
        **_around(shown, tiles, has_before=start > 0, has_after=has_after),
    }


def _tagged(reading: Reading, shown: Shown) -> Sequence[TaggedPalette]:
    """Return those that were given the tag; what nobody has answered about has none."""
    if shown.state in {"untagged", "failed"}:
        return []
    selection = Selection(sources=(shown.source,) if shown.source else ())
    try:
        found = reading.ask(palettes_by_tag, shown.tag, selection, text=shown.q)
    except (EmptyLakeError, InputError):
        return []  # no answer at all, or none from there
    if not shown.state:
        return found
    refined, is_wanted = refined_seeds(reading.connection, shown.source), shown.state == "refined"
    return [palette for palette in found if (palette.seed in refined) is is_wanted]


def _start(found: Sequence[TaggedPalette], shown: Shown) -> int:
    """Return where the page begins; at the top when its neighbour is no longer among them."""
    place = {palette.seed: place for place, palette in enumerate(found)}
    if shown.before in place:
        return max(place[shown.before] - _PER_PAGE, 0)
    return place[shown.after] + 1 if shown.after in place else 0


def _around(
    shown: Shown, tiles: Sequence[Tile], *, has_before: bool, has_after: bool
) -> dict[str, object]:
    """Return the tiles, and where the pages on both sides are."""
    first, last = (tiles[0].card.seed, tiles[-1].card.seed) if tiles else ("", "")
    return {
        "tiles": tiles,
        "previous": shown.address(before=first) if has_before and tiles else None,
        "next": shown.address(after=last) if has_after and tiles else None,
        "first": shown.address(),
    }


def _read_frame(reading: Reading, _shown: Shown) -> Context:
    imported = imported_sources(reading.connection)
    return {"states": _STATES, "sources": ["own", *imported] if imported else []}


_STORED = Panel("palettes-stored", _FOLLOWED, "palettes/grid.html", _read_stored)
_TAGGED = Panel(
    "palettes-tagged", _FOLLOWED | {"warehouse"}, "palettes/grid.html", _read_tagged, pace="slow"
)


class _PalettesPage(Page[Shown]):
    """Only the choice of a tag needs the warehouse, so only then the page waits for it."""

    @override
    def wanted(self, params: Shown) -> list[Wanted]:
        return [CHROME, Wanted(_TAGGED if params.tag else _STORED, params)]


PAGE = _PalettesPage(
    path="/palettes",
    title="Palettes",
    template="palettes.html",
    params=Shown,
    panels=(_STORED, _TAGGED),
    frame=_read_frame,
)
