"""Cuts long lists into pieces: a statement takes only so many parameters."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_CHUNK = 500


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items in their order, five hundred at a time."""
    everything = list(items)
    for start in range(0, len(everything), _CHUNK):
        yield everything[start : start + _CHUNK]
