"""Keeps an answer inside the JSON schema that was asked for, whatever its fields are."""

from collections.abc import Mapping
from random import Random
from typing import Any

from grabient_ops.sandbox.personas.opinion import Tags, embed_text


class Shape:
    """The fields of one schema, looked at once per batch."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        properties = (schema or {}).get("properties")
        self._fields: dict[str, Any] = properties if isinstance(properties, dict) else {}

    def fill(self, tags: Tags, rng: Random) -> Tags:
        """Take the fields that the schema has, in its order, and make up those that we lack."""
        if not self._fields:
            return tags
        return {name: self._value(name, field, tags, rng) for name, field in self._fields.items()}

    def _value(self, name: str, field: Mapping[str, Any], tags: Tags, rng: Random) -> object:
        if name == "embed_text":
            return embed_text(tags)
        if name not in tags:
            return _made_up(field, rng)
        value, words = tags[name], _words(field)
        if not words:
            return value
        if isinstance(value, list):
            return [word for word in value if word in words] or [rng.choice(words)]
        return value if value in words else rng.choice(words)


def _words(field: Mapping[str, Any]) -> list[str]:
    """The closed list of a field, or of its items."""
    items = field.get("items")
    holder = items if isinstance(items, dict) else field
    return [word for word in holder.get("enum", []) if isinstance(word, str)]


def _made_up(field: Mapping[str, Any], rng: Random) -> object:
    words = _words(field)
    kind = field.get("type")
    word = rng.choice(words) if words else "gradient"
    values = {
        "array": [word],
        "object": {},
        "integer": 1,
        "number": 0.5,
        "boolean": True,
        "null": None,
    }
    return values.get(str(kind).lower(), word)
