"""Explodes the tags of answers into facts, and normalises each spelling once."""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import orjson

from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, LIST_FIELDS

Integers = npt.NDArray[np.int64]

_WORD_FIELDS = tuple(CATEGORIES)
_ONE_EACH = (1,) * len(_WORD_FIELDS)
_ORDER = np.array([FIELDS.index(field) for field in (*LIST_FIELDS, *_WORD_FIELDS)])
_get_lists = itemgetter(*LIST_FIELDS)
_get_words = itemgetter(*_WORD_FIELDS)
# Control characters that are blanks (tab, line ends) are left for the collapsing of blanks.
_CONTROLS = dict.fromkeys(
    code
    for code in (*range(32), *range(127, 160), *range(0xD800, 0xE000))
    if not chr(code).isspace()
)


def normalise(text: str) -> str:
    """Return a tag as it is counted: NFC, lower-case, single blanks, no control characters.

    Script, accents and emoji stay. The result may be empty: then the text is no tag.
    """
    shown = unicodedata.normalize("NFC", text.translate(_CONTROLS)).lower()
    return unicodedata.normalize("NFC", " ".join(shown.split()))


def read_tags(cell: str | bytes | None) -> dict[str, Any]:
    """Return the fields in a JSON cell; an empty dict when it holds no JSON object."""
    if cell is None:
        return {}
    try:
        value = orjson.loads(cell)
    except ValueError:
        value = _read_leniently(cell)
    return value if isinstance(value, dict) else {}


def _read_leniently(cell: str | bytes) -> object:
    """JSON allows escaped lone surrogates, which orjson refuses."""
    try:
        return json.loads(_as_text(cell), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _as_text(cell: str | bytes) -> str:
    return cell if isinstance(cell, str) else cell.decode("utf-8", "replace")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


class Facts(NamedTuple):
    """Facts of some answers as columns of one length.

    Attributes:
        answer: index of the answer among those given.
        category: index of the field in `FIELDS`.
        spelling: number of the spelling in `Spellings`.
        position: place within the field, from 1.
    """

    answer: Integers
    category: Integers
    spelling: Integers
    position: Integers


class Spellings(dict[str | None, int]):
    """Numbers every spelling that was met; looking a new one up adds it. None stands for no tag.

    Attributes:
        tags: per number, the normalised tag; empty when the spelling is no tag.
        given: per number, the spelling itself where it is not the tag.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.given: list[str | None] = []
        self[None] = self[""]

    def __missing__(self, spelling: object) -> int:
        """Number a spelling; what is no string is no tag."""
        if not isinstance(spelling, str):
            return self[None]
        tag = normalise(spelling)
        number = self[spelling] = len(self.tags)
        self.tags.append(tag)
        self.given.append(None if spelling == tag else _encodable(spelling))
        return number


def _encodable(text: str) -> str:
    """Lone surrogates become U+FFFD: no file can hold them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def explode(cells: Iterable[str | bytes | None], spellings: Spellings) -> Facts:
    """Return the facts in the JSON cells of answers: all spellings, repeated ones too.

    List fields give their elements that are strings, the other fields their string. Numbers, nulls,
    nested arrays and objects are not tags; they keep their place, with the number of "".
    """
    owners: list[int] = []
    lengths: list[int] = []
    values: list[Any] = []
    for answer, cell in enumerate(cells):
        if tags := read_tags(cell):
            lists, words = _fields_of(tags)
            owners.append(answer)
            lengths += map(len, lists)
            lengths += _ONE_EACH
            values += chain.from_iterable(lists)
            values += words
    return _columns(_integers(owners), _integers(lengths), _integers(_numbers(values, spellings)))


def _fields_of(tags: Mapping[str, Any]) -> tuple[Sequence[list[Any]], Sequence[Any]]:
    """Return the list fields and the others, in order; what is missing or no list is empty."""
    try:
        lists, words = _get_lists(tags), _get_words(tags)
    except KeyError:
        return _fields_of({**dict.fromkeys(FIELDS), **tags})
    if set(map(type, lists)) != {list}:
        lists = tuple(value if type(value) is list else [] for value in lists)
    return lists, words


def _numbers(values: Sequence[Any], spellings: Spellings) -> list[int]:
    try:
        return list(map(spellings.__getitem__, values))
    except TypeError:  # an array or an object among them
        return [spellings[value if type(value) is str else None] for value in values]


def _columns(owners: Integers, lengths: Integers, numbers: Integers) -> Facts:
    """Each answer has one slot per field, with so many spellings in it."""
    slot = np.repeat(np.arange(len(lengths)), lengths)
    firsts = np.cumsum(lengths) - lengths
    position = np.arange(1, len(numbers) + 1) - firsts[slot]
    return Facts(owners[slot // len(FIELDS)], _ORDER[slot % len(FIELDS)], numbers, position)


def _integers(numbers: Sequence[int]) -> Integers:
    return np.array(numbers, dtype=np.int64)


def distinct(facts: Facts, tag_of: Integers) -> Facts:
    """Keep the first fact of each (answer, category, tag), in order; `tag_of` maps spellings.

    Spellings without a tag have -1 there; they are dropped.
    """
    tag = tag_of[facts.spelling]
    real = np.flatnonzero(tag >= 0)
    slot = facts.answer[real] * len(FIELDS) + facts.category[real]
    key = slot * (int(tag_of.max(initial=0)) + 1) + tag[real]
    kept = real[np.sort(np.unique(key, return_index=True)[1])]
    return Facts(*(column[kept] for column in facts))
