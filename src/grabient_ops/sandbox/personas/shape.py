"""Keeps an answer inside the JSON schema that was asked for, whatever its fields are."""

from collections.abc import Mapping
from random import Random
from typing import Any

from grabient_ops.sandbox.personas.extras import Extras
from grabient_ops.sandbox.personas.opinion import Tags


class Shape:
    """The fields of one schema, looked at once.

    Attributes:
        given: whether there is a schema at all.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self.given = schema is not None
        properties = (schema or {}).get("properties")
        fields: dict[str, Any] = properties if isinstance(properties, dict) else {}
        self._fields = [(name, field, _words(field)) for name, field in fields.items()]

    def fill(self, tags: Tags, extras: Extras, rng: Random) -> Tags:
        """Take the fields that the schema has, in its order, and make up those that we lack.

        An array of objects takes what was dropped, a free string the sentence.
        """
        if not self._fields:
            return tags
        filled: Tags = {}
        for name, field, words in self._fields:
            if name not in tags:
                filled[name] = _made_up(field, words, extras, rng)
            else:
                filled[name] = _closed(tags[name], words, rng) if words else tags[name]
        return filled


def _closed(value: object, words: list[str], rng: Random) -> object:
    if isinstance(value, list):
        return [word for word in value if word in words] or words[:1]
    return value if value in words else rng.choice(words)


def _words(field: object) -> list[str]:
    """The closed list of a field, or of its items."""
    if not isinstance(field, dict):
        return []
    items = field.get("items")
    holder = items if isinstance(items, dict) else field
    return [word for word in holder.get("enum") or [] if isinstance(word, str)]


def _made_up(field: object, words: list[str], extras: Extras, rng: Random) -> object:
    word = rng.choice(words) if words else extras.sentence
    kind = field.get("type") if isinstance(field, dict) else None
    keys = _item_keys(field)
    values: dict[str, object] = {
        "array": extras.objects(keys) if keys else [word],
        "object": {},
        "integer": 1,
        "number": 0.5,
        "boolean": True,
        "null": None,
    }
    return values.get(str(kind).lower(), word)


def _item_keys(field: object) -> tuple[str, ...]:
    """The keys of an array's items, when these are objects."""
    items = field.get("items") if isinstance(field, dict) else None
    properties = items.get("properties") if isinstance(items, dict) else None
    return tuple(properties) if isinstance(properties, dict) else ()
