"""Writes what a refining model reads about one palette: its colours and what was said of it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from grabient_ops.tagging.vocabulary import FIELDS

MOST_TAGS = 40
"""Tags shown of one category."""

MOST_TAG_CHARS = 100
"""Characters shown of one tag; a longer one is cut and ends in an ellipsis."""

MOST_BYTES = 20_000
"""UTF-8 bytes of all lines with tags together; no tokenizer makes more tokens than bytes."""

# What JSON leaves as it is, although it may end a line, turn its direction, or not be encodable.
_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Vote(NamedTuple):
    """One tag of a palette.

    Attributes:
        category: one of the ten fields.
        votes: answers that gave the tag.
    """

    category: str
    tag: str
    votes: int


def write_summary(message: str, votes: Sequence[Vote], responses: int, models: int) -> str:
    """Write the user message of a refinement request.

    First the colours, then for each category that has tags its name and one line `"tag": votes/all`
    per tag, most votes first, equals by tag. A tag is a JSON string, so it stays on its line.

    Of a category at most `MOST_TAGS` tags are shown, and of all at most `MOST_BYTES`, given out by
    rank: every category's first tag, every category's second ... A category ends with its first tag
    that is too much; a last line says how many tags with how many votes were left out.

    Args:
        message: the tagging request's user message of the palette.
        votes: each tag of each category once, in any order.
        responses: answers that were counted.
        models: different models among them.
    """
    ranked = _ranked(votes)
    shown = _shown(ranked, responses)
    sections = (_section(field, ranked[field], lines) for field, lines in shown.items() if lines)
    head = f"Consensus: {responses} answers of {models} models. Each line is a tag and its votes."
    return "\n\n".join((message, head, *sections))


def _ranked(votes: Sequence[Vote]) -> Mapping[str, list[Vote]]:
    ranked: dict[str, list[Vote]] = {field: [] for field in FIELDS}
    for vote in votes:
        ranked[vote.category].append(vote)
    for tags in ranked.values():
        tags.sort(key=lambda vote: (-vote.votes, vote.tag))
    return ranked


def _shown(ranked: Mapping[str, list[Vote]], responses: int) -> Mapping[str, list[str]]:
    """Give every category its lines, rank by rank, until the bytes are used up."""
    shown: dict[str, list[str]] = {field: [] for field in ranked}
    waiting = {field: _lines(tags, responses) for field, tags in ranked.items()}
    room = MOST_BYTES
    while waiting:
        for field, lines in list(waiting.items()):
            line = next(lines, None)
            size = len(line.encode()) + 1 if line else room + 1
            if line is None or size > room:
                del waiting[field]
            else:
                shown[field].append(line)
                room -= size
    return shown


def _lines(tags: Sequence[Vote], responses: int) -> Iterator[str]:
    return (f"{_quoted(vote.tag)}: {vote.votes}/{responses}" for vote in islice(tags, MOST_TAGS))


def _quoted(tag: str) -> str:
    if len(tag) > MOST_TAG_CHARS:
        tag = tag[: MOST_TAG_CHARS - 1] + "…"
    quoted = json.dumps(tag, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _section(field: str, tags: Sequence[Vote], lines: Sequence[str]) -> str:
    left_out = tags[len(lines) :]
    text = "\n".join((f"{field}:", *lines))
    if not left_out:
        return text
    votes = sum(vote.votes for vote in left_out)
    return f"{text}\n({len(left_out)} more tags with {votes} votes are left out)"
