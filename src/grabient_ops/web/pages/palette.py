"""One palette: its colours, what the answers agree on, every answer, its refinement, its likes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import HTTPException, Path

from grabient_ops.analytics.questions.consensus import MODERATE, STRONG, ConsensusTag
from grabient_ops.analytics.search.index import EmptyIndexError
from grabient_ops.analytics.votes import Ballot, count_votes
from grabient_ops.palettes.describe import Description, describe
from grabient_ops.store.palette_answers import (
    AnswerRow,
    answers_about,
    list_asked,
    refinements_about,
    text_beginnings,
)
from grabient_ops.store.palettes import get_palette
from grabient_ops.tagging.vocabulary import FIELDS
from grabient_ops.web.fields import Number, Word
from grabient_ops.web.finder import tell
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Page

_PER_PAGE = 50
_FEW_TAGS, _MANY_TAGS = 8, 200
_TEXT_CHARS = 4000
_REFINEMENTS = 20
_NEIGHBOURS = 8
_TOLD = ("mood", "associations")

Seed = Annotated[str, Path(max_length=1000, pattern="^[^\\x00]+$")]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which palette, and which of its answers; "" stands for all of them.

    Attributes:
        model: as `provider/model`.
        after: id of the answer before the page.
    """

    seed: Seed
    prompt: Word = ""
    model: Word = ""
    run: Number = None
    after: Number = None

    @property
    def is_filtered(self) -> bool:
        """Whether some answers are left out."""
        return bool(self.prompt or self.model or self.run is not None)

    def address(self, **place: object) -> str:
        """Return the address of another page of the same answers."""
        words = {"prompt": self.prompt, "model": self.model, "run": self.run, **place}
        return f"?{urlencode({name: word for name, word in words.items() if word})}#answers"


class Category(NamedTuple):
    """What the answers say in one field.

    Attributes:
        computed: what the colours say, where that can be computed.
        first, others: tags with their votes; the others are shown on demand.
        left_out: how many more there are.
    """

    field: str
    computed: Sequence[str]
    first: Sequence[ConsensusTag]
    others: Sequence[ConsensusTag]
    left_out: int


def _read_frame(reading: Reading, shown: Shown) -> Context:
    stored = get_palette(reading.connection, shown.seed)
    (description,) = describe([shown.seed])
    if stored is None and not description.valid:
        raise HTTPException(404, "There is no such palette.")
    asked = list_asked(reading.connection, shown.seed)
    return {
        "stored": stored,
        "description": description,
        "prompts": sorted({one.prompt_version for one in asked}),
        "models": sorted({f"{one.provider}/{one.model}" for one in asked}),
        "runs": sorted({one.run_number for one in asked}),
    }


def _read_consensus(reading: Reading, shown: Shown) -> Context:
    answers = [answer for answer in _answers(reading, shown) if answer.error_class is None]
    ballots = (Ballot(f"{answer.provider}/{answer.model}", answer.tags) for answer in answers)
    consensus = count_votes(shown.seed, ballots)
    (description,) = describe([shown.seed])
    return {
        "consensus": consensus,
        "strong": STRONG,
        "moderate": MODERATE,
        "categories": [_category(field, consensus.tags, description) for field in FIELDS],
    }


def _category(field: str, tags: Sequence[ConsensusTag], description: Description) -> Category:
    mine = [tag for tag in tags if tag.category == field]
    agreed = sum(tag.share >= MODERATE for tag in mine)
    few = min(max(agreed, _FEW_TAGS), _MANY_TAGS)
    computed = getattr(description.looks.facts, field, ()) if description.looks else ()
    return Category(
        field,
        [computed] if isinstance(computed, str) else computed,
        mine[:few],
        mine[few : few + _MANY_TAGS],
        max(len(mine) - few - _MANY_TAGS, 0),
    )


def _read_answers(reading: Reading, shown: Shown) -> Context:
    answers = _answers(reading, shown)
    places = [place for place, answer in enumerate(answers) if answer.id == shown.after]
    start = places[0] + 1 if places else 0
    page = answers[start : start + _PER_PAGE]
    has_more = start + _PER_PAGE < len(answers)
    return {
        "answers": page,
        "start": start,
        "total": len(answers),
        "failures": sum(answer.error_class is not None for answer in answers),
        "cost": _sum_costs(answers),
        "texts": text_beginnings(reading.connection, [one.id for one in page], _TEXT_CHARS),
        "longest": _TEXT_CHARS,
        "fields": FIELDS,
        "first": shown.address() if start else None,
        "next": shown.address(after=page[-1].id) if has_more else None,
    }


def _answers(reading: Reading, shown: Shown) -> list[AnswerRow]:
    provider, _, model = shown.model.partition("/")
    answers = answers_about(
        reading.connection,
        shown.seed,
        prompt_version=shown.prompt or None,
        provider=provider or None,
        model=model or None,
    )
    # Not asked of the store: PostgreSQL refuses to look for a number that its column cannot hold.
    return [answer for answer in answers if shown.run in {None, answer.run_number}]


def _sum_costs(answers: Sequence[AnswerRow]) -> int | None:
    """Return pico-dollars; None when one of the answers has no known price."""
    costs = [answer.cost for answer in answers if answer.input_tokens or answer.output_tokens]
    return None if None in costs else sum(cost or 0 for cost in costs)


def _read_refined(reading: Reading, shown: Shown) -> Context:
    history = refinements_about(reading.connection, shown.seed, _REFINEMENTS)
    succeeded = [one for one in history if one.error_class is None]
    return {
        "history": history,
        "refined": succeeded[0] if succeeded else None,
        "fields": FIELDS,
    }


def _read_meaning(reading: Reading, shown: Shown) -> Context:
    try:
        hits = reading.finder.neighbours(reading.connection, shown.seed, _NEIGHBOURS)
    except EmptyIndexError:
        hits = []
    return {"hits": [(hit, tell(hit.tags, _TOLD)) for hit in hits]}


def _read_colours(reading: Reading, shown: Shown) -> Context:
    return {"lookalikes": reading.lookalikes.nearest(reading.connection, shown.seed, _NEIGHBOURS)}


PAGE = Page(
    path="/palettes/{seed}",
    title="Palette",
    template="palette.html",
    params=Shown,
    frame=_read_frame,
    panels=(
        Panel(
            "palette-consensus", frozenset({"responses"}), "palette/consensus.html", _read_consensus
        ),
        Panel("palette-answers", frozenset({"responses"}), "palette/answers.html", _read_answers),
        Panel("palette-refined", frozenset({"refinements"}), "palette/refined.html", _read_refined),
        Panel(
            "palette-meaning",
            frozenset({"refinements"}),
            "palette/meaning.html",
            _read_meaning,
            pace="slow",
        ),
        Panel(
            "palette-colours",
            frozenset({"palettes"}),
            "palette/colours.html",
            _read_colours,
            pace="slow",
        ),
    ),
)
