import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.analytics.search.embedding import WordVectors

# Any way out of the machine raises; so does the package whose files are used.
_OFFLINE = """
import socket, sys
def refuse(*_): raise RuntimeError("the network was asked")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from grabient_ops.analytics.search.embedding import WordVectors
print(WordVectors().embed(["calm misty morning"]).shape)
print("wordllama" in sys.modules, "requests" in sys.modules)
"""


def test_nothing_is_asked_of_the_network() -> None:
    told = subprocess.run(
        [sys.executable, "-I", "-c", _OFFLINE], capture_output=True, check=True, text=True
    )

    assert told.stdout.split("\n")[:2] == ["(1, 256)", "False False"]
    assert told.stderr == ""


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("ocean", "waves on the sea", "brick wall in a city"),
        ("happy", "joyful", "gloomy"),
        ("halloween", "pumpkin", "beach"),
        ("snow", "frost and ice", "desert heat"),
        ("forêt", "forest", "city"),
    ],
)
def test_what_means_much_the_same_is_close(
    word_vectors: WordVectors, text: str, near: str, far: str
) -> None:
    first, second, third = word_vectors.embed([text, near, far])

    assert first @ second > first @ third + 0.05


@given(texts=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5))
def test_any_text_has_one_vector_of_length_one(word_vectors: WordVectors, texts: list[str]) -> None:
    together = word_vectors.embed(texts)
    alone = np.concatenate([word_vectors.embed([text]) for text in texts])

    assert together.shape == (len(texts), 256)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_case_and_composition_make_no_difference(word_vectors: WordVectors) -> None:
    vectors = word_vectors.embed(["Café NOIR", "café noir", "cafe\u0301 noir"])

    assert all(np.array_equal(one, other) for one, other in pairwise(vectors))


def test_many_texts_and_none(word_vectors: WordVectors) -> None:
    assert word_vectors.embed([]).shape == (0, 256)
    vectors = word_vectors.embed([f"text {number}" for number in range(3000)])
    assert np.array_equal(vectors[2999], word_vectors.embed(["text 2999"])[0])
    assert word_vectors.embed(["\udcff", "x" * 100_000, "凉 🌊"]).shape == (3, 256)
