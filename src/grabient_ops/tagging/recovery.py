"""Finds the JSON of an answer in its text, with as little surgery as the text needs."""

import json
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any, Literal

import orjson

from grabient_ops.tagging.vocabulary import FIELDS

Stage = Literal["strict", "stripped", "balanced", "repaired", "none"]
"""How far an object had to be searched for; a measure of a model's discipline.

`strict`: the text is JSON. `stripped`: it is JSON once thoughts and fences are off. `balanced`: a
whole object stands among other text. `repaired`: the object was broken or cut. `none`: no object.
"""

MAX_CHARS = 65_536
"""Text beyond this, thoughts not counted, is not searched; an answer needs a hundredth of it."""

MAX_WHOLE_CHARS = 1 << 20
"""Text up to this is read when it is JSON as a whole: that is quick, and ten thousand tags are."""

_THOUGHT = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_FENCE = re.compile(r"\A```\w*")
_OBJECT = re.compile(r"""\{\s*["'“/]""")
_KEYS = "|".join(field.replace("_", "[ _-]?") for field in FIELDS)
_ANSWER = re.compile(rf"""\{{\s*["'“]?(?:{_KEYS})\b""", re.IGNORECASE)
_PART = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},:"]', re.DOTALL)
_LAST_COMMA = re.compile(r".*,(?=\D)", re.DOTALL)
ELISION = "…"
"""Ends an array that we close: the one word in a cut list of several is never a vote."""
_MAX_DEPTH = 32
_MAX_REPAIR_CHARS = 8192  # json-repair 0.64 takes half a second for this much noise, and n² beyond
_CLOSER = {"{": "}", "[": "]"}
_DECODER = json.JSONDecoder(strict=False)


def recover(text: str) -> Iterator[tuple[Stage, list[Any]]]:
    """Yield the JSON values that each stage finds, gentlest first; stop at the first of use.

    Within a stage the values come in the order of the text. Strings that were cut are never among
    them. Lazy, because the last stage costs a hundred times as much as the first; never raises.
    """
    if len(text) <= MAX_WHOLE_CHARS:
        yield "strict", _whole(text)
    body = _without_thoughts(text)[:MAX_WHOLE_CHARS]
    yield "stripped", _whole(_FENCE.sub("", body.strip()).removesuffix("```"))
    body = body[:MAX_CHARS]
    answers = deque((found.start() for found in _ANSWER.finditer(body)), maxlen=16)
    objects = [found.start() for found in islice(_OBJECT.finditer(body), 8)]
    yield "balanced", [value for at in sorted({*answers, *objects}) for value in _decode(body, at)]
    segments = pairwise([*(answers or objects[:1]), len(body)])
    yield "repaired", [_mend(body[start:end]) for start, end in segments]


def _whole(text: str) -> list[Any]:
    try:
        return [orjson.loads(text)]
    except ValueError:
        return []


def _without_thoughts(text: str) -> str:
    # What stands before the first tag and after the last closing one, for some chat templates open
    # the thoughts themselves. Thoughts that were never closed stay: they may end in the answer.
    tags = list(_THOUGHT.finditer(text))
    closing = [tag for tag in tags if tag[1]]
    if not closing:
        return text
    start = 0 if tags[0][1] else tags[0].start()
    return text[:start] + text[closing[-1].end() :]


def _decode(text: str, start: int) -> list[Any]:
    try:
        return [_DECODER.raw_decode(text, start)[0]]
    except (ValueError, RecursionError):
        return []


def _mend(text: str) -> Any:  # noqa: ANN401 - JSON can be anything
    try:
        return orjson.loads(_closed(text))
    except ValueError:
        return _repaired(text)


def _closed(text: str) -> str:
    """Cut an object back to its last finished value and close what is open there."""
    finished, still_open, open_now, before = 0, "", "", ""
    for found in _PART.finditer(text):
        part = found[0]
        if part == '"':
            break
        open_now = open_now[:-1] if part in "}]" else open_now + _CLOSER.get(part, "")
        if part == ",":
            finished, still_open = found.start(), open_now
        elif part != ":" and not _is_key(part, before, open_now):
            finished, still_open = found.end(), open_now
        if not 0 < len(open_now) <= _MAX_DEPTH:
            break
        before = part
    return text[:finished] + _closing(text[:finished], still_open)


def _is_key(part: str, before: str, open_now: str) -> bool:
    return part[0] == '"' and before != ":" and open_now[-1:] == "}"


def _closing(text: str, still_open: str) -> str:
    elision = ""
    if still_open[-1:] == "]":
        elision = f'"{ELISION}"' if text.endswith("[") else f',"{ELISION}"'
    return elision + still_open[::-1]


def _repaired(text: str) -> Any:  # noqa: ANN401 - JSON can be anything
    # Imported here because most answers never need it.
    from json_repair import repair_json

    try:
        return repair_json(
            _without_stump(text[:_MAX_REPAIR_CHARS]), return_objects=True, skip_json_loads=True
        )
    except Exception:  # noqa: BLE001 - guesswork on hostile text: a bug in it must not stop a batch
        return None


def _without_stump(text: str) -> str:
    """Drop what follows the last brace; where there is none, what follows the last comma.

    Commas in strings count too, for in broken text nobody can tell what is a string. That makes no
    new tags, since commas separate tags inside strings as well.
    """
    end = text.rfind("}") + 1
    if end:
        return text[:end]
    whole = _LAST_COMMA.match(text)
    return f'{whole[0]} "{ELISION}"' if whole else ""
