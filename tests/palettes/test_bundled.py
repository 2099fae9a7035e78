import numpy as np
import pytest

from grabient_ops.palettes.bundled import bundled_names, bundled_seeds
from grabient_ops.palettes.describe import colours_of
from grabient_ops.palettes.seed import coeff_key, read_seed
from grabient_ops.palettes.similarity import NEAR_DUPLICATE, distances
from grabient_ops.palettes.spaces import Bytes


def test_there_are_many_of_both_formats_with_and_without_globals() -> None:
    palettes = [read_seed(seed) for seed in bundled_seeds()]

    assert len(palettes) >= 160
    for form in ("legacy", "aligned"):
        mine = [palette for palette in palettes if palette.format == form]
        assert len(mine) > 60
        assert 10 < sum(palette.globals != (0, 1, 1, 0) for palette in mine) < len(mine)


def test_no_two_look_alike() -> None:
    palettes = [read_seed(seed) for seed in bundled_seeds()]
    rgb = colours_of(palettes)
    apart = distances(rgb, rgb) + 1000 * np.eye(len(rgb))

    assert len({coeff_key(palette) for palette in palettes}) == len(palettes)
    assert apart.min() >= NEAR_DUPLICATE


def test_each_has_a_name_of_its_own() -> None:
    names = bundled_names()

    assert list(names) == bundled_seeds()
    assert len(set(names.values())) == len(names)
    assert all(name.replace(" ", "").isalpha() and name.islower() for name in names.values())


def test_distance_is_symmetric_zero_when_reversed_and_100_from_black_to_white() -> None:
    black, white, ramp = (_grey(0, 0), _grey(255, 255), _grey(0, 255))

    assert distances(black, white) == pytest.approx(100, abs=0.01)
    assert distances(ramp, ramp[:, ::-1]) == pytest.approx(0)
    assert distances(black, ramp) == pytest.approx(distances(ramp, black))


def _grey(first: int, last: int) -> Bytes:
    levels = np.linspace(first, last, 11).round().astype(np.uint8)
    return np.repeat(levels[None, :, None], 3, axis=2)
