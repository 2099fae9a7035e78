"""Turns the JSON that a model wrote into the ten fields, keeping every tag as it was given."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from grabient_ops.tagging.recovery import ELISION
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, LIST_FIELDS, SYNONYMS

Tags = dict[str, list[str] | str | None]
"""All ten fields in order: six lists of tags, four words or None."""

ENOUGH_FIELDS = 8
"""Known keys that make an object an answer; with fewer, chance hits in broken text get through."""

MAX_TAG_CHARS = 100

_MAX_WRAPPERS = 3
_MAX_NESTING = 4
_MAX_TEXT_CHARS = 1000  # a longer string is prose; also bounds the cache
_CACHED_TEXTS = 8192

_SPELLING = re.compile(r"[\s_\u2010-\u2015-]+")
# Also the Chinese and Japanese comma, enumeration comma and semicolon.
_SEPARATOR = re.compile(r",(?!\d)|[;\uff0c\u3001\uff1b\r\n]")
_EITHER_OR = re.compile(r"[,;/|\uff0c\u3001\uff1b\r\n]")
_COUNT = re.compile(r"\s*\d{1,2}\s*(?:[-\u2013,]|to|or)\s*\d{1,2}\b")
_COLOUR_CODE = re.compile(
    r"\(?(?:#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|hsv|hwb|lab|lch|oklab|oklch)a? ?\([^)]*\)?)\)?",
    re.IGNORECASE,
)
_JSON = re.compile(r'"\s*[:\]}]|[\[{]\s*"')
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_BARE_HEX = re.compile(r"(?=[a-f]*\d)[0-9a-f]{6}", re.IGNORECASE)
_REPLACED = {ord("\t"): " "} | dict.fromkeys(
    (*range(9), *range(10, 32), *range(127, 160), *range(0xD800, 0xE000))
)
_FIELDS = frozenset(FIELDS)
_NOTHING = frozenset({"none", "null", "n/a", "na", "nil", "undefined", "unknown", "string"})


def object_in(value: object, wrappers: int = _MAX_WRAPPERS) -> dict[str, Any]:
    """Return the object of an answer as it came, however it is wrapped; empty where there is none.

    Of several objects (`{"tags": {...}}`, `[{...}]`, JSON inside a string) the one with the most
    known keys counts, and of equals inside the last: the earlier ones are drafts or examples.
    """
    if isinstance(value, str):
        value = _json_in(value)
    found: dict[str, Any] = {}
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        found, inner = value, reversed(value.values())
    elif isinstance(value, list):
        inner = reversed(value)
    if not wrappers or len(known_fields(found)) >= ENOUGH_FIELDS:
        return found
    return max((found, *(object_in(item, wrappers - 1) for item in inner)), key=fullness)


def known_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields among an object's keys; case, blanks, hyphens, underscores do not count."""
    if found.keys() == _FIELDS:
        return dict(found)  # as nearly always; imports read millions
    return {field: item for key, item in found.items() if (field := _field(key))}


def fullness(found: Mapping[str, Any]) -> int:
    """Count the known fields of an object."""
    return len(known_fields(found))


def to_tags(fields: Mapping[str, object]) -> tuple[Tags, tuple[str, ...]]:
    """Return the ten fields, and the names of those where several words stood for one.

    A list field holds distinct tags (case aside, the first spelling stays): strings, split at
    commas, semicolons and line ends, outer blanks, control characters and lone surrogates off. Not
    tags are: numbers, objects, pieces of JSON, colour codes, counts such as "2-5 feelings", "none"
    and its like, what has neither letter nor emoji, and what is longer than `MAX_TAG_CHARS`.

    A categorical field holds a word of its vocabulary or None. An array is a vote when it holds one
    distinct word of the vocabulary; several are no vote, for the first would be the prompt's first.
    """
    tags: Tags = dict.fromkeys(FIELDS)
    ambiguous = []
    for field in LIST_FIELDS:
        tags[field] = tag_list(fields.get(field))
    for field, words in WORDS.items():
        value = fields.get(field)
        if isinstance(value, str) and value in words:
            tags[field] = words[value]
        else:
            given = _words_in(value, words)
            vote = tags[field] = _vote(given, CATEGORIES[field], alone=isinstance(value, str))
            several = isinstance(value, list) or len(given) > 1
            ambiguous += [field] * (vote is None and several)
    return tags, tuple(ambiguous)


@lru_cache(maxsize=256)
def _field(key: str) -> str | None:
    return _FIELDS_BY_SQUASHED_KEY.get(re.sub(r"[\s_-]", "", key).casefold())


def _json_in(text: str) -> object:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    texts = _strings(items)
    nesting = _MAX_NESTING
    while nesting and len(texts) != len(items):
        items = [inner for item in items for inner in (item if isinstance(item, list) else [item])]
        texts = _strings(items)
        nesting -= 1
    return texts


def _strings(items: list[object]) -> list[str]:
    return [item for item in items if isinstance(item, str) and len(item) <= _MAX_TEXT_CHARS]


def _words_in(value: object, spelled: Mapping[str, str]) -> set[str]:
    words = (spelling(word) for text in _texts(value) for word in _EITHER_OR.split(text))
    return {spelled.get(word, word) for word in words if word}


def _vote(given: set[str], choices: tuple[str, ...], *, alone: bool) -> str | None:
    valid = given.intersection(choices)
    if len(valid) != 1 or (alone and len(given) > 1) or ELISION in given:
        return None
    return valid.pop()


def spelling(word: str) -> str:
    """Return a closed word as the vocabulary writes it: lower-case, hyphens for blanks."""
    return _SPELLING.sub("-", word.strip(" \t\"'.!").casefold())


def tag_list(value: object) -> list[str]:
    """Return the distinct tags in the value of a list field, as `to_tags` does."""
    distinct: dict[str, str] = {}
    for text in _texts(value):
        for key, tag in _tags_in(text):
            if key not in distinct:
                distinct[key] = tag
    return list(distinct.values())


@lru_cache(maxsize=_CACHED_TEXTS)
def _tags_in(text: str) -> tuple[tuple[str, str], ...]:
    if _COUNT.match(text) or _JSON.search(text):
        return ()
    pieces = _SEPARATOR.split(_COLOUR_CODE.sub("", _joined(text)))
    tags = (piece.translate(_REPLACED).strip() for piece in pieces)
    return tuple((tag.casefold(), tag) for tag in tags if _is_tag(tag))


def one_line(text: str) -> str:
    """Return a text with single blanks, without control characters and lone surrogates."""
    return _joined(" ".join(text.split())).translate(_REPLACED)


def _joined(text: str) -> str:
    """Join the halves of an escaped emoji, which json-repair leaves as two surrogates."""
    if text.isascii():
        return text
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


def _is_tag(text: str) -> bool:
    return (
        0 < len(text) <= MAX_TAG_CHARS
        and any(char.isalpha() or unicodedata.category(char) == "So" for char in text)
        and text.casefold() not in _NOTHING
        and not _BARE_HEX.fullmatch(text)
    )


_FIELDS_BY_SQUASHED_KEY = {field.replace("_", ""): field for field in FIELDS} | {
    "dominantcolours": "dominant_colors"
}
WORDS: Mapping[str, Mapping[str, str]] = {
    field: {word: word for word in words}
    | {spelling(word): meant for word, meant in SYNONYMS[field].items()}
    for field, words in CATEGORIES.items()
}
"""By categorical field every spelling that is a vote, and the word that it means."""
