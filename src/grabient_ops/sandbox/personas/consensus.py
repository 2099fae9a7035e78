"""Recognises a question that holds other models' tags, by its form, and reads the votes."""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from grabient_ops.tagging.vocabulary import FIELDS

_FEWEST_LINES = 3
_COUNT = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")
_FIELDS = {field.replace("_", ""): field for field in FIELDS}


class Counted(NamedTuple):
    """One tag of a consensus.

    Attributes:
        share: of all answers, 0 to 1.
    """

    tag: str
    share: float


Consensus = Mapping[str, list[Counted]]
"""By field its tags, in the order of the text."""


def read_consensus(text: str) -> Consensus | None:
    """Read lines such as `"calm": 5/8` or `calm: 5/8` under the names of our fields.

    Returns:
        None when the text is no consensus: when it has fewer than three such lines.
    """
    if "\n" not in text:
        return None
    found: dict[str, list[Counted]] = {field: [] for field in FIELDS}
    into: list[Counted] = []
    for line in text.split("\n"):
        if counted := _counted(line):
            into.append(counted)
        elif line.strip():
            into = found.get(_field(line), [])
    return found if sum(map(len, found.values())) >= _FEWEST_LINES else None


def _field(heading: str) -> str:
    """Return the field that a line names, dressed as a heading or not."""
    return _FIELDS.get(re.sub(r"[\s#*:_-]", "", heading).lower(), "")


def _counted(line: str) -> Counted | None:
    before, _, behind = line.rpartition(":")
    tag, count = before.strip(" \t-*"), _COUNT.fullmatch(behind)
    if not tag or count is None:
        return None
    return Counted(_unquoted(tag), int(count[1]) / max(int(count[2]), 1))


def _unquoted(tag: str) -> str:
    try:
        text = json.loads(tag, strict=False) if tag[0] == '"' else tag
    except ValueError:
        return tag
    # An escaped half of a pair is a string in Python, and no text that could be sent.
    return str(text).encode("utf-8", "replace").decode()
