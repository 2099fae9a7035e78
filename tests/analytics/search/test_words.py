import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.analytics.search.words import Words, words_of

_WORDS = st.sampled_from(["calm", "Calm", "ocean", "凉", "café", "cafe\u0301", "neon-city", "a_b"])
_TEXTS = st.lists(_WORDS, max_size=6).map(" ".join)


def _words(*texts: str) -> Words:
    return Words([np.array(words_of(text), dtype=np.uint32) for text in texts])


def _split(text: str) -> set[str]:
    separated = text.replace("cafe\u0301", "café").replace("-", " ").replace("_", " ")
    return set(separated.lower().split())


@given(texts=st.lists(_TEXTS, min_size=1, max_size=8), query=_TEXTS)
def test_shares_are_the_weights_of_the_words_in_common(texts: list[str], query: str) -> None:
    asked = _split(query)
    weight = {
        word: math.log(1 + len(texts) / (1 + sum(word in _split(text) for text in texts)))
        for word in asked
    }
    expected = [
        sum(weight[word] for word in asked & _split(text)) / (sum(weight.values()) or 1)
        for text in texts
    ]

    np.testing.assert_allclose(_words(*texts).shares(query), expected, atol=1e-6)


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    rare, common, both, other = _words("lava red", "red sky", "red lava", "red").shares("red lava")

    assert (rare, both) == pytest.approx((1, 1))
    assert 0 < common == other < 0.5


def test_words_of_any_script_are_found_as_they_are() -> None:
    texts = ("平静 海", "жаркий юг", "schön", "blue")

    for place, query in enumerate(["海", "ЮГ", "SCHÖN"]):
        assert np.flatnonzero(_words(*texts).shares(query)).tolist() == [place]
