"""What an answer is worth: its tags, or the reason why it has none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from grabient_ops.tagging.coercion import (
    ENOUGH_FIELDS,
    Tags,
    fullness,
    known_fields,
    object_in,
    to_tags,
)
from grabient_ops.tagging.finish import ended_early, refusal
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.recovery import MAX_WHOLE_CHARS, Stage, recover
from grabient_ops.tagging.vocabulary import FIELDS

PARSER_VERSION = 2
"""Changes whenever the same text may give other tags; stored answers can then be parsed again."""

_ALL_FIELDS = frozenset(FIELDS)


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """One answer, parsed.

    Attributes:
        tags: the ten fields in order, six lists and four words or None; None when unusable.
        error_class: `refused`, `truncated` or `unparsable`; None when `tags` is there.
        stage: how far the object had to be searched for, `none` when no known key was found.
        ambiguous: the categorical fields where several words were given, and so no vote counts.
        error: why there are no tags, one sentence; None when `tags` is there.
    """

    tags: Tags | None
    error_class: ErrorClass | None
    stage: Stage
    ambiguous: tuple[str, ...] = ()
    error: str | None = None

    @property
    def repaired(self) -> bool:
        """Whether the text was more, or less, than one JSON document."""
        return self.stage not in {"strict", "none"}


def parse_answer(text: str, finish_reason: str | None = None) -> ParsedAnswer:
    """Parse the text of one answer; never raises.

    An answer is usable when at least eight of the ten keys are there. Tags keep their spelling and
    script. A string that was cut is never a tag.

    Args:
        text: what the model wrote, verbatim.
        finish_reason: why it stopped, in any provider's words and case.
    """
    early = ended_early(finish_reason)
    if early is ErrorClass.REFUSED:
        return ParsedAnswer(None, early, "none", error=refusal(finish_reason))
    if clean := _clean(text):
        return clean
    stage: Stage = "none"
    known = 0
    blank: ParsedAnswer | None = None
    for tried, found in objects_in(text):
        fields = known_fields(found)
        if len(fields) > known:
            stage, known = tried, len(fields)
        if len(fields) < ENOUGH_FIELDS:
            continue
        tags, ambiguous = to_tags(fields)
        if any(tags.values()):
            return ParsedAnswer(tags, None, tried, ambiguous)
        # An object for a value is our schema, echoed.
        if not any(isinstance(value, dict) for value in fields.values()):
            blank = blank or ParsedAnswer(tags, None, tried, ambiguous)
    if blank and early is None:
        return blank
    error = _shortcoming(known, cut=early is not None)
    return ParsedAnswer(None, early or ErrorClass.UNPARSABLE, stage, error=error)


def objects_in(text: str) -> Iterator[tuple[Stage, dict[str, Any]]]:
    """Yield every object in an answer that may be meant, most likely first; lazy, never raises."""
    for stage, values in recover(text):
        # The fullest object first, and of equals the last: the earlier ones are drafts or examples.
        for found in sorted(map(object_in, reversed(values)), key=fullness, reverse=True):
            yield stage, found


def _clean(text: str) -> ParsedAnswer | None:
    """Parse what most models write most of the time: one object with the ten keys, nothing else."""
    if len(text) > MAX_WHOLE_CHARS:
        return None
    try:
        fields = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.keys() != _ALL_FIELDS:
        return None
    tags, ambiguous = to_tags(fields)
    return ParsedAnswer(tags, None, "strict", ambiguous) if any(tags.values()) else None


def _shortcoming(known: int, *, cut: bool) -> str:
    if known >= ENOUGH_FIELDS:
        what = "holds no tag, only empty fields or placeholders"
    else:
        what = f"holds {known} of the ten fields, {ENOUGH_FIELDS} are needed"
    return f"The answer was cut at the token limit and {what}." if cut else f"The answer {what}."
