import string
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.palettes.bulk import read_all_values
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.lzstring import compress
from grabient_ops.palettes.seed import InvalidSeedError, read_values

_LEGACY = [seed for seed in bundled_seeds() if not seed.startswith("_")]
_BLOCK = _LEGACY * 2


def _all_or_reason(seeds: Sequence[str]) -> list[list[float]] | str:
    try:
        values: list[list[float]] = read_all_values(seeds).tolist()
    except InvalidSeedError as error:
        return error.reason
    return values


def _one_by_one(seeds: Sequence[str]) -> list[list[float]] | str:
    try:
        return [read_values(seed) for seed in seeds]
    except InvalidSeedError as error:
        return error.reason


def test_many_seeds_read_together_give_what_each_gives_alone(
    legacy_vectors: list[dict[str, Any]], aligned_vectors: list[dict[str, Any]]
) -> None:
    seeds = [vector["seed"] for vector in legacy_vectors + aligned_vectors] + bundled_seeds() * 2

    assert read_all_values(seeds).tolist() == [read_values(seed) for seed in seeds]


@given(
    st.sampled_from(_LEGACY),
    st.lists(
        st.tuples(
            st.integers(0, 90), st.sampled_from(string.ascii_letters + string.digits + "+-\n ")
        ),
        max_size=2,
    ),
    st.integers(0, 2),
    st.integers(0, len(_BLOCK)),
)
def test_one_damaged_seed_among_many_is_judged_as_if_it_were_alone(
    seed: str, changes: list[tuple[int, str]], lost: int, place: int
) -> None:
    damaged = list(seed)
    for index, character in changes:
        damaged[index % len(damaged)] = character
    seeds = [*_BLOCK[:place], "".join(damaged)[: len(damaged) - lost], *_BLOCK[place:]]

    assert _all_or_reason(seeds) == _one_by_one(seeds)


@given(
    st.lists(
        st.text("0123456789.,-e凉 _", max_size=8) | st.integers(-9999, 9999).map("{:.0f}".format),
        min_size=11,
        max_size=17,
    )
)
def test_unusual_numbers_among_many_are_judged_as_if_they_were_alone(tokens: list[str]) -> None:
    seeds = [compress(",".join(tokens)), *_BLOCK]

    assert _all_or_reason(seeds) == _one_by_one(seeds)


def test_no_seeds_have_no_values() -> None:
    assert read_all_values([]).shape == (0, 16)
