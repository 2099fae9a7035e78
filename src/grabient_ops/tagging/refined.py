"""What the answer of a refining model is worth: canonical tags, or the reason why it has none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from grabient_ops.palettes.theory import DOMINANT_COLORS
from grabient_ops.tagging.answers import objects_in
from grabient_ops.tagging.coercion import (
    ENOUGH_FIELDS,
    MAX_TAG_CHARS,
    WORDS,
    Tags,
    known_fields,
    one_line,
    spelling,
    tag_list,
    to_tags,
)
from grabient_ops.tagging.finish import ended_early, refusal
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.recovery import ELISION, Stage
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, HARMONIES, LIST_FIELDS

MOST_DROPPED = 200
MAX_REASON_CHARS = 200
MAX_SENTENCE_CHARS = 500
NOT_A_WORD = "not in the vocabulary"
"""Our reason against a word that a closed field does not have."""

_MEANING = ("mood", "style", "associations")
_CLOSED: Mapping[str, Mapping[str, str]] = {
    "dominant_colors": {word: word for word in DOMINANT_COLORS} | {"grey": "gray"},
    "harmony": {word: word for word in HARMONIES} | {"monochrome": "monochromatic"},
}


@dataclass(frozen=True, slots=True)
class ParsedRefinement:
    """One answer of a refining model, parsed.

    Attributes:
        tags: the ten canonical fields in order; None when unusable.
        dropped: what was left out, by the model or by us, as `{"tag", "reason"}`.
        sentence: the model's own words about the palette, on one line.
        error_class: `refused`, `truncated` or `unparsable`; None when `tags` is there.
        error: why there are no tags, one sentence; None when `tags` is there.
        stage: how far the object had to be searched for, `none` when no known key was found.
        ambiguous: the categorical fields that hold no word.
    """

    tags: Tags | None
    dropped: list[dict[str, str]] = field(default_factory=list)
    sentence: str | None = None
    error_class: ErrorClass | None = None
    error: str | None = None
    stage: Stage = "none"
    ambiguous: tuple[str, ...] = ()


def parse_refinement(text: str, finish_reason: str | None = None) -> ParsedRefinement:
    """Parse the text of one refinement; never raises.

    The object is searched for as in `parse_answer`. It is canonical with at least eight of the ten
    fields, all ten when it was broken or cut, none of them cut itself, and at least one mood, style
    or association. `dropped` and `sentence` may be absent.

    Args:
        text: what the model wrote, verbatim.
        finish_reason: why it stopped, in any provider's words and case.
    """
    early = ended_early(finish_reason)
    if early is ErrorClass.REFUSED:
        return ParsedRefinement(None, error_class=early, error=refusal(finish_reason))
    stage: Stage = "none"
    known = 0
    for tried, found in objects_in(text):
        fields = known_fields(found)
        needed = len(FIELDS) if early or tried == "repaired" else ENOUGH_FIELDS
        if len(fields) > known:
            stage, known = tried, len(fields)
        if len(fields) >= needed and (parsed := _canonical(found, fields, tried)):
            return parsed
    error_class = early or ErrorClass.UNPARSABLE
    return ParsedRefinement(None, error_class=error_class, error=_shortcoming(known), stage=stage)


def _canonical(
    found: Mapping[str, Any], fields: Mapping[str, Any], stage: Stage
) -> ParsedRefinement | None:
    if any(_is_cut(fields.get(name)) for name in LIST_FIELDS):
        return None
    tags, _ = to_tags(fields)
    if not any(tags[name] for name in _MEANING):
        return None
    odd = {name: _odd_words(fields.get(name), words) for name, words in WORDS.items()}
    for name, words in _CLOSED.items():
        odd[name] = _odd_words(tags[name], words)
        tags[name] = _closed(tags[name], words)
    extras = {spelling(key): value for key, value in found.items()}
    ours = ({"tag": word, "reason": NOT_A_WORD} for name in FIELDS for word in odd.get(name, ()))
    return ParsedRefinement(
        tags,
        dropped=[*islice(_dropped(extras.get("dropped")), MOST_DROPPED), *ours],
        sentence=_sentence(extras.get("sentence")),
        stage=stage,
        ambiguous=tuple(name for name in CATEGORIES if tags[name] is None),
    )


def _is_cut(value: object) -> bool:
    return isinstance(value, list) and ELISION in value


def _closed(given: object, words: Mapping[str, str]) -> list[str]:
    spelled = map(spelling, tag_list(given))
    return list(dict.fromkeys(words[word] for word in spelled if word in words))


def _odd_words(given: object, words: Mapping[str, str]) -> list[str]:
    return [word for word in tag_list(given) if spelling(word) not in words]


def _dropped(value: object) -> Iterator[dict[str, str]]:
    """Yield what the model says it dropped: objects, bare tags, or one object of tag and reason."""
    items = list(value.items()) if isinstance(value, dict) else value
    for item in items if isinstance(items, list) else ():
        tag, reason = map(one_line, _pair(item))
        if tag and tag != ELISION:
            yield {"tag": tag[:MAX_TAG_CHARS], "reason": reason[:MAX_REASON_CHARS]}


def _pair(item: object) -> tuple[str, str]:
    match item:
        case str() as tag:
            return tag, ""
        case {"tag": str() as tag, "reason": str() as reason} | (str() as tag, str() as reason):
            return tag, reason
        case {"tag": str() as tag} | (str() as tag, *_):
            return tag, ""
        case _:
            return "", ""


def _sentence(value: object) -> str | None:
    text = one_line(value) if isinstance(value, str) else ""
    return text[:MAX_SENTENCE_CHARS].rstrip() or None


def _shortcoming(known: int) -> str:
    if known < len(FIELDS):
        return f"The answer holds only {known} of the ten fields."
    return "The answer holds no mood, style or association, or ends inside a field."
