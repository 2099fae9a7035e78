"""Writes a refined palette's tags as the one text by which semantic search finds it."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from grabient_ops.tagging.coercion import Tags
from grabient_ops.tagging.vocabulary import CATEGORIES

FEWEST_WORDS, MOST_WORDS = 30, 120

_ORDER = (*CATEGORIES, "harmony", "dominant_colors", "mood", "style", "seasonal", "associations")
# Scripts that put no blanks between words: two letters are counted as one word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_WORD = re.compile(rf"[{_UNSPACED}]{{1,2}}|[^\s{_UNSPACED}]+")
_UNFOLDED: Mapping[str, str] = {
    "temperature": "{} color temperature with {}",
    "contrast": "{} contrast between its lightest and darkest parts",
    "brightness": "{} overall brightness with {}",
    "saturation": "{} overall saturation with {}",
    "harmony": "{} color harmony",
    "dominant_colors": "{} color",
    "mood": "{} mood",
    "style": "{} style",
    "seasonal": "{} season",
    "associations": "reminiscent of {}",
}
_MEANS: Mapping[tuple[str, str], str] = {
    ("temperature", "warm"): "mostly warm hues",
    ("temperature", "cool"): "mostly cool hues",
    ("temperature", "neutral"): "hardly any hue",
    ("temperature", "cool-warm"): "cool and warm hues",
    ("brightness", "dark"): "mostly dark shades",
    ("brightness", "medium"): "mostly medium tones",
    ("brightness", "light"): "mostly light tints",
    ("brightness", "varied"): "dark and light tones",
    ("saturation", "vibrant"): "vivid intense colors",
    ("saturation", "muted"): "soft subdued colors",
    ("saturation", "mixed"): "vivid and muted colors",
}


class _Part(NamedTuple):
    """One tag in its place.

    Attributes:
        plain: the tag; empty when it was said before.
    """

    field: str
    tag: str
    plain: str

    @property
    def unfolded(self) -> str:
        """The tag as a phrase that says what it is a word for."""
        return _UNFOLDED[self.field].format(self.tag, _MEANS.get((self.field, self.tag), ""))


def embed_text(tags: Tags) -> str:
    """Join refined tags to a text of 30 to 120 words.

    The order is temperature, contrast, brightness, saturation, harmony, dominant colours, moods,
    styles, seasons, associations. Blanks inside a tag are collapsed, otherwise it stays as it is; a
    tag that was there before, case aside, is not repeated.

    Below 30 words tags are unfolded to phrases in order ("warm" to "warm color temperature with
    mostly warm hues", "calm" to "calm mood") until there are 30 or all are unfolded. Beyond 120
    whole tags are dropped from the end. The 30 are what stands between blanks, the 120 are counted
    by `count_words`, so that the text is neither short by the one rule nor long by the other.
    """
    texts: list[str] = []
    parts = list(_parts(tags))
    missing = FEWEST_WORDS - sum(len(part.plain.split()) for part in parts)
    for part in parts:
        text = part.unfolded if missing > 0 else part.plain
        missing -= len(text.split()) - len(part.plain.split())
        texts.append(text)
    room = MOST_WORDS - sum(map(count_words, texts))
    while room < 0:
        room += count_words(texts.pop())
    return " ".join(filter(None, texts))


def count_words(text: str) -> int:
    """Count words: what stands between blanks, or two letters of a script that has no blanks."""
    return len(_WORD.findall(text))


def _parts(tags: Tags) -> Iterator[_Part]:
    seen: set[str] = set()
    for field in _ORDER:
        value = tags.get(field)
        for text in value if isinstance(value, list) else [value or ""]:
            tag = " ".join(text.split())
            key = unicodedata.normalize("NFC", tag).casefold()
            # Two categories may hold one word, which says different things once it is unfolded.
            if key and (key not in seen or field in CATEGORIES):
                yield _Part(field, tag, "" if key in seen else tag)
                seen.add(key)
