import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.colours import color_names, hex_codes, hsl, lch
from grabient_ops.palettes.describe import describe
from grabient_ops.palettes.seed import InvalidSeedError
from grabient_ops.palettes.spaces import Bytes
from grabient_ops.tagging.message import _written, user_messages


def test_messages_equal_those_of_the_first_system_byte_for_byte(
    colour_facts: list[dict[str, Any]],
) -> None:
    messages = user_messages([row["seed"] for row in colour_facts])

    assert messages == [row["userMessage"] for row in colour_facts]


def test_a_message_says_what_the_description_says() -> None:
    seeds = bundled_seeds() * 12

    for message, row in zip(user_messages(seeds), describe(seeds), strict=True):
        told = json.loads(message)

        assert row.looks is not None
        assert list(told) == ["hex", "rgb", "hsl", "lch", "colorNames"]
        assert told["hex"] == row.looks.hex
        assert told["lch"] == row.looks.lch
        assert told["colorNames"] == row.looks.color_names


@given(arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(11), st.just(3))))
def test_any_colours_are_written_as_json_writes_them(rgb: Bytes) -> None:
    columns = (hex_codes(rgb), rgb.tolist(), hsl(rgb).tolist(), lch(rgb).tolist(), color_names(rgb))
    names = ("hex", "rgb", "hsl", "lch", "colorNames")
    expected = [
        json.dumps(dict(zip(names, row, strict=True)), separators=(",", ":"))
        for row in zip(*columns, strict=True)
    ]

    assert _written(rgb) == expected


def test_every_hue_and_grey_is_written_as_json_writes_it() -> None:
    levels = np.linspace(0, 255, 28).astype(np.uint8)
    every = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    rgb = np.resize(every, (len(every) // 11 + 1, 11, 3))

    for message, light in zip(_written(rgb), lch(rgb).tolist(), strict=True):
        assert json.loads(message)["lch"] == light


def test_no_seeds_give_no_messages_and_a_bad_one_is_named_by_its_reason() -> None:
    assert user_messages([]) == []
    with pytest.raises(InvalidSeedError, match="It is empty"):
        user_messages([bundled_seeds()[0], ""])
