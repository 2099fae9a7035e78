from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.analytics.search import index as index_module
from grabient_ops.analytics.search.embedding import Vectors, unit
from grabient_ops.analytics.search.index import Hit, Index
from grabient_ops.analytics.search.sketch import Sketch, largest
from grabient_ops.analytics.search.words import Words, words_of

_COUNT, _LIMIT = 30_000, 10


def _clustered(count: int, size: int, seed: int) -> Vectors:
    """Vectors as texts have them: many topics, several in each text, something common to all."""
    random = np.random.default_rng(seed)
    topics = random.standard_normal((300, size))
    mixed = sum(topics[random.integers(300, size=count)] for _ in range(4))
    return unit(mixed + random.standard_normal((count, size)) + 2 * random.standard_normal(size))


class _Near:
    """Embeds "... rare7" close to the seventh vector, as a query is close to what it means."""

    model = "test"
    texts_per_call = None

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def embed(self, texts: Sequence[str]) -> Vectors:
        places = [int(text.partition("rare")[2]) for text in texts]
        noise = np.random.default_rng(places).standard_normal((len(texts), 256)) / 16
        return unit(self._vectors[places] + noise)


def _index(vectors: Vectors, texts: list[str]) -> Index:
    places = [str(number) for number in range(len(vectors))]
    words = Words([np.array(words_of(text), dtype=np.uint32) for text in texts])
    seeds, tags, kept = (
        np.array(values, dtype=object) for values in (places, ["{}"] * len(vectors), texts)
    )
    return Index(1, "test", seeds, tags, kept, vectors, words)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index that is past the size up to which everything is compared."""
    vectors = _clustered(_COUNT, 256, 1)
    texts = [f"tag{number % 97} rare{number}" for number in range(_COUNT)]
    monkeypatch.setattr(index_module, "CANDIDATES", 1000)
    return _index(vectors, texts)


def test_the_sketch_hardly_misses_a_neighbour(many: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [str(number) for number in range(0, _COUNT, _COUNT // 50)]
    exact = {seed: {hit.seed for hit in many.neighbours(seed, _LIMIT)} for seed in seeds}
    monkeypatch.setattr(index_module, "EXHAUSTIVE", 0)
    found = {seed: {hit.seed for hit in many.neighbours(seed, _LIMIT)} for seed in seeds}

    recall = sum(len(exact[seed] & found[seed]) for seed in seeds) / (_LIMIT * len(seeds))
    assert recall >= 0.95


def test_the_sketch_finds_words_too(many: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = _Near(many.vectors)
    queries = [f"tag{number} rare{number * 7}" for number in range(20)]
    exact = [many.search(query, embedder, _LIMIT) for query in queries]
    monkeypatch.setattr(index_module, "EXHAUSTIVE", 0)
    found = [many.search(query, embedder, _LIMIT) for query in queries]

    assert [hits[0] for hits in found] == [hits[0] for hits in exact]
    common = sum(
        len({*one} & {*other}) for one, other in zip(_seeds(exact), _seeds(found), strict=True)
    )
    assert common / (_LIMIT * len(queries)) >= 0.9


def _seeds(answers: list[list[Hit]]) -> list[list[str]]:
    return [[hit.seed for hit in hits] for hits in answers]


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 9))
def test_a_vector_is_entirely_like_itself(size: int, count: int, seed: int) -> None:
    vectors = _clustered(count, size, seed)
    likeness = Sketch(vectors).likeness(vectors[0])

    assert likeness.shape == (count,)
    assert likeness[0] == 1
    assert ((likeness >= 0) & (likeness <= 1)).all()


@given(st.lists(st.integers(-9, 9), max_size=30), st.integers(1, 40))
def test_largest_gives_the_largest(values: list[int], count: int) -> None:
    chosen = largest(np.array(values, dtype=np.int64), count)

    assert len(set(chosen.tolist())) == len(chosen)
    assert (
        sorted((values[place] for place in chosen), reverse=True)
        == sorted(values, reverse=True)[:count]
    )
