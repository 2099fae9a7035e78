"""Figures that are costly to count, kept while nothing they depend on has changed."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from grabient_ops.web.live.topics import Topic

T = TypeVar("T")


class _Kept(NamedTuple):
    topics: frozenset[Topic]
    value: Any


class Memo:
    """Figures by name; for one reader after the other, not for two at once."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def get(self, name: str, topics: frozenset[Topic], read: Callable[[], T]) -> T:
        """Return a figure, read anew when it is not known or has been forgotten."""
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = _Kept(topics, read())
        value: T = found.value
        return value

    def forget(self, topics: set[Topic]) -> None:
        """Forget what depends on one of the topics."""
        self._kept = {n: kept for n, kept in self._kept.items() if kept.topics.isdisjoint(topics)}
