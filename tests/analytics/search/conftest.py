"""Refined palettes to search, and embedders that tell what they were asked."""

from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np
import pytest

from grabient_ops.analytics.search.embedding import Vectors, WordVectors, unit


class Counting:
    """An embedder whose vectors depend on its name, and which remembers the texts.

    Attributes:
        texts: all that were embedded, in order.
        before: called before each embedding.
    """

    texts_per_call: int | None = None

    def __init__(self, model: str = "test/1", size: int = 16) -> None:
        self.model = model
        self.size = size
        self.texts: list[str] = []
        self.before: Callable[[], object] = lambda: None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Give each text a direction of its own."""
        self.before()
        self.texts += texts
        rows = [
            np.random.default_rng(crc32(f"{self.model} {text}".encode())).standard_normal(self.size)
            for text in texts
        ]
        return unit(np.array(rows).reshape(-1, self.size))


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture(scope="session")
def counting_of() -> type[Counting]:
    """The class itself, for other names and sizes."""
    return Counting


@pytest.fixture(scope="session")
def word_vectors() -> WordVectors:
    """The packaged vectors, loaded once."""
    return WordVectors()
