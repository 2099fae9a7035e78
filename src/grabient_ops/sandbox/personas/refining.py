"""The tags that a refining model would make of a consensus, and its words about them."""

from collections.abc import Iterator, Sequence
from random import Random

from grabient_ops.palettes.theory import DOMINANT_COLORS, Facts
from grabient_ops.sandbox.personas.consensus import Consensus, Counted
from grabient_ops.sandbox.personas.extras import Extras
from grabient_ops.sandbox.personas.opinion import Tags
from grabient_ops.sandbox.personas.palette import Palette, pools
from grabient_ops.sandbox.personas.taste import Taste
from grabient_ops.tagging.vocabulary import CATEGORIES, HARMONIES

_MOST = {"mood": 7, "style": 6, "seasonal": 4, "associations": 10}
_AGREED, _RARE, _MAJORITY = 0.2, 0.05, 0.5
_PROMOTED = 0.3
_MOST_DROPPED = 12
_LIKE = "Like {0}, this {1} {2} gradient of {3} feels {4}."


def refine(said: Consensus, palette: Palette, taste: Taste, rng: Random) -> tuple[Tags, Extras]:
    """Say what one model makes of the consensus about one palette."""
    editor = _Editor(said, palette, taste, rng)
    facts = palette.facts
    tags: Tags = {
        "mood": editor.words("mood"),
        "style": editor.words("style"),
        "dominant_colors": editor.closed("dominant_colors", DOMINANT_COLORS, facts.dominant_colors),
        "harmony": editor.closed("harmony", HARMONIES, facts.harmony),
        **{field: editor.vote(field, getattr(facts, field)) for field in CATEGORIES},
        "seasonal": editor.words("seasonal"),
        "associations": editor.words("associations"),
    }
    sentence = _sentence(tags, facts)
    return tags, Extras(sentence, tuple(editor.dropped[:_MOST_DROPPED]))


class _Editor:
    """Goes through one consensus and notes what it leaves out."""

    def __init__(self, said: Consensus, palette: Palette, taste: Taste, rng: Random) -> None:
        self.dropped: list[tuple[str, str]] = []
        self._said, self._palette, self._taste, self._rng = said, palette, taste, rng

    def vote(self, field: str, computed: str) -> str:
        """Trust a majority; without one trust the colours."""
        given = [counted for counted in self._said[field] if counted.tag in CATEGORIES[field]]
        best = max(given, key=lambda counted: counted.share, default=Counted(computed, 0))
        return best.tag if best.share >= _MAJORITY else computed

    def closed(self, field: str, known: Sequence[str], computed: Sequence[str]) -> list[str]:
        """Keep the words of a closed list that many say and the colours show, then the others."""
        kept = []
        for tag, share in self._said[field]:
            if tag not in known:
                self.dropped.append((tag, "not one of the given words"))
            elif tag in computed or share >= _MAJORITY:
                kept.append(tag)
            elif share >= _AGREED:
                self.dropped.append((tag, "contradicted by the colours"))
        return kept[:4] or list(computed)

    def words(self, field: str) -> list[str]:
        """Merge what is one word, keep what many say, and promote an outlier or two."""
        fitting, most = self._palette.fitting[field], _MOST[field]
        everywhere = pools()[field]["anything"]
        kept: list[str] = []
        for tag, share in self._merged(field):
            rare = share < _AGREED
            if rare and (share < _RARE or tag not in fitting or self._rng.random() > _PROMOTED):
                continue
            if tag in everywhere and self._rng.random() < self._taste.agreement:
                self.dropped.append((tag, "would fit any gradient"))
            elif len(kept) < most:
                kept.append(tag)
            else:
                self.dropped.append((tag, "less telling than the others"))
        return kept or list(self._palette.core[field][:2])

    def _merged(self, field: str) -> Iterator[Counted]:
        """Add up the shares of forms of one word, under the form with the most."""
        forms: dict[str, list[Counted]] = {}
        for counted in self._said[field]:
            forms.setdefault(_stem(counted.tag), []).append(counted)
        for same in forms.values():
            same.sort(key=lambda counted: -counted.share)
            self.dropped += [(other.tag, f"the same as {same[0].tag}") for other in same[1:]]
        merged = [Counted(same[0].tag, sum(one.share for one in same)) for same in forms.values()]
        return iter(sorted(merged, key=lambda counted: -counted.share))


def _stem(tag: str) -> str:
    word = tag.casefold().replace("-", " ")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 4 and word.endswith("s") and word[-2] != "s" else word


def _sentence(tags: Tags, facts: Facts) -> str:
    def first(field: str, count: int) -> str:
        words = tags[field]
        return " and ".join(words[:count]) if isinstance(words, list) else str(words)

    return _LIKE.format(
        first("associations", 2),
        facts.brightness,
        facts.temperature,
        first("dominant_colors", 2),
        first("mood", 2),
    )
