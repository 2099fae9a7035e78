import json
from typing import Any

import pytest

from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.describe import describe
from grabient_ops.palettes.seed import InvalidSeedError
from grabient_ops.tagging.message import user_messages


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


def test_no_seeds_give_no_messages_and_a_bad_one_is_named_by_its_reason() -> None:
    assert user_messages([]) == []
    with pytest.raises(InvalidSeedError, match="It is empty"):
        user_messages([bundled_seeds()[0], ""])
