"""Finds the keys that a system prompt asks for, since nothing else names them without a schema."""

import re
from collections.abc import Sequence
from functools import lru_cache

from grabient_ops.tagging.vocabulary import FIELDS

_LIST = re.compile(r"^`?\w+`?(?:, ?`?\w+`?){7,}$", re.MULTILINE)
_QUOTED = re.compile(r'"(\w+)"\s*:')
_ENOUGH = 8


@lru_cache(maxsize=64)
def more_keys(instructions: str) -> Sequence[str]:
    """Return the keys besides the ten fields, from lines of bare names and from JSON examples."""
    listed = [name for line in _LIST.findall(instructions) for name in re.findall(r"\w+", line)]
    names = dict.fromkeys((*listed, *_QUOTED.findall(instructions)))
    if len(names.keys() & set(FIELDS)) < _ENOUGH:
        names = {}
    if "embed_text" in instructions:
        names["embed_text"] = None
    return tuple(name for name in names if name not in FIELDS)
