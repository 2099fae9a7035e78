"""Finds texts by the exact words that they share with a query, the rare ones counting most."""

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from grabient_ops.analytics.search.embedding import plain

_WORD = re.compile(r"[^\W_]+")

Numbers = NDArray[np.uint32]


def words_of(text: str) -> list[int]:
    """Return the different words of a text as numbers; words that look alike have the same one."""
    return sorted({crc32(word.encode()) for word in _WORD.findall(plain(text))})


class Words:
    """The words of many texts.

    Args:
        words: per text, what `words_of` says.
    """

    def __init__(self, words: Sequence[Numbers] | NDArray[np.object_]) -> None:
        every = np.concatenate([*words, np.empty(0, dtype=np.uint32)])
        order = np.argsort(every, kind="stable")
        self._count = len(words)
        self._words = every[order]
        self._texts = np.repeat(np.arange(self._count), [len(some) for some in words])[order]

    def shares(self, query: str) -> NDArray[np.float32]:
        """Return how much of a query each text holds, 0 to 1.

        A word weighs the more, the fewer texts have it (inverse document frequency).
        """
        shares = np.zeros(self._count, dtype=np.float32)
        total = 0.0
        for found in map(self._having, words_of(query)):
            weight = np.log(1 + self._count / (1 + len(found)))
            shares[found] += weight
            total += weight
        return shares / max(total, 1e-9)

    def _having(self, word: int) -> NDArray[np.int64]:
        number = np.uint32(word)
        first = np.searchsorted(self._words, number, side="left")
        return self._texts[first : np.searchsorted(self._words, number, side="right")]
