import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from grabient_ops.images.render import HEIGHT, WIDTH, render_pngs
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.describe import describe
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.palettes.palette import InvalidSeedError
from grabient_ops.palettes.seed import write_aligned

Pixels = NDArray[np.uint8]

any_triple = st.tuples(*[st.floats(-2, 2)] * 3)


def opened(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    picture.load()  # checks every checksum
    return picture


def pixels(png: bytes) -> Pixels:
    return np.asarray(opened(png).convert("RGB"))


def colours_shown(seed: str) -> Pixels:
    (description,) = describe([seed])
    assert description.looks
    return np.array(description.looks.rgb, np.uint8)


@pytest.mark.parametrize("seed", bundled_seeds()[::7])
def test_every_pixel_has_the_colour_that_palettes_show_tells(seed: str) -> None:
    (png,) = render_pngs([seed])

    row = colours_shown(seed)[np.arange(WIDTH) * 11 // WIDTH]
    assert pixels(png).shape == (400, 800, 3)
    assert (pixels(png) == row).all()


@settings(max_examples=50)
@given(
    coeffs=st.tuples(*[any_triple] * 4),
    globals_=st.tuples(st.floats(-1, 1), st.floats(0, 2), st.floats(0, 2), st.floats(-1, 1)),
)
def test_any_palette_is_drawn_in_its_own_colours(coeffs: Any, globals_: Any) -> None:  # noqa: ANN401
    seed = write_aligned(coeffs, globals_)

    (png,) = render_pngs([seed])

    middles = np.arange(11) * WIDTH // 11 + 36
    assert (pixels(png)[HEIGHT // 2, middles] == colours_shown(seed)).all()


def test_stripes_are_hard_and_reach_both_edges_of_their_place() -> None:
    (seed,) = invented_seeds(1)
    (png,) = render_pngs([seed])
    row, colours = pixels(png)[0], colours_shown(seed)

    starts = [0, *(np.flatnonzero((row[1:] != row[:-1]).any(axis=1)) + 1).tolist()]
    ends = [*(start - 1 for start in starts[1:]), WIDTH - 1]

    assert starts == [-(-WIDTH * stripe // 11) for stripe in range(11)]
    assert {end - start + 1 for start, end in zip(starts, ends, strict=True)} == {72, 73}
    assert (row[starts] == colours).all()
    assert (row[ends] == colours).all()


def test_a_picture_is_a_small_srgb_png_of_eleven_colours() -> None:
    (png,) = render_pngs(bundled_seeds()[:1])
    picture = opened(png)

    assert (picture.format, picture.size, picture.mode) == ("PNG", (800, 400), "P")
    assert picture.info["srgb"] == 0
    assert len(picture.getcolors() or []) == 11
    assert len(png) < 1000


def test_a_picture_depends_on_its_seed_alone() -> None:
    seeds = [*bundled_seeds()[:20], *invented_seeds(1500)]

    together = render_pngs(seeds)

    assert together[::101] == [render_pngs([seed])[0] for seed in seeds[::101]]
    assert render_pngs([]) == []


def test_what_is_no_seed_is_not_drawn() -> None:
    with pytest.raises(InvalidSeedError):
        render_pngs([*invented_seeds(2), "../../etc/passwd"])
