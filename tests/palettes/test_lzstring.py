import string
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.lzstring import LONGEST, compress, decompress

_ALPHABET = string.ascii_letters + string.digits + "+-$"
_SEEDS = [seed for seed in bundled_seeds() if not seed.startswith("_")]


def test_vectors_of_the_original_agree_in_both_directions(
    legacy_vectors: list[dict[str, Any]],
) -> None:
    for vector in legacy_vectors:
        assert decompress(vector["seed"]) == (vector["raw"], True)
        assert compress(vector["raw"]) == vector["seed"]


@given(st.text(st.characters(max_codepoint=0xFFFF), min_size=1, max_size=200))
@example("aaaaaaaaaaaaaaaaaaaaaaaaaaaa")
@example("ÿĀ")
def test_what_was_packed_unpacks_to_itself_and_is_canonical(text: str) -> None:
    assert decompress(compress(text)) == (text, True)


@given(
    st.sampled_from(_SEEDS),
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from(_ALPHABET)), max_size=3),
    st.integers(0, 4),
    st.text(_ALPHABET, max_size=2),
)
def test_a_damaged_text_is_canonical_only_if_packing_gives_it_again(
    seed: str, changes: list[tuple[int, str]], lost: int, tail: str
) -> None:
    damaged = list(seed)
    for place, character in changes:
        damaged[place % len(damaged)] = character
    packed = "".join(damaged)[: len(damaged) - lost] + tail

    text, canonical = decompress(packed)

    assert canonical == (text is not None and compress(text) == packed)


@given(st.text(max_size=300))
def test_any_text_unpacks_or_not_but_never_raises(text: str) -> None:
    unpacked, canonical = decompress(text)

    assert unpacked is not None or not canonical


def test_blanks_are_read_as_plus_and_what_follows_the_end_is_ignored() -> None:
    packed = next(seed for seed in _SEEDS if "+" in seed)

    assert decompress(packed.replace("+", " ") + ".png") == (decompress(packed)[0], False)


def test_a_text_longer_than_the_limit_is_not_unpacked() -> None:
    bomb = compress("a" * 300_000)

    assert len(bomb) > LONGEST
    assert decompress(bomb) == (None, False)
