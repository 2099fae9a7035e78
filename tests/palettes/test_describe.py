import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.describe import describe
from grabient_ops.palettes.seed import coeff_key, read_seed

_KEYS = "seed valid format coeffs globals coeff_key hex rgb hsl lch color_names facts"


def test_a_valid_seed_is_described_with_every_documented_key() -> None:
    seed = bundled_seeds()[0]

    row: dict[str, Any] = json.loads(json.dumps(describe([seed])[0].to_json()))

    assert " ".join(row) == _KEYS
    assert row["coeff_key"] == coeff_key(read_seed(seed))
    assert [len(row[key]) for key in ("coeffs", "globals", "hex", "rgb", "hsl", "lch")] == [
        *(4, 4, 11, 11, 11, 11)
    ]
    assert set(row["facts"]) == {
        *("temperature", "contrast", "brightness", "saturation", "dominant_colors", "harmony")
    }


def test_invalid_seeds_keep_their_place_and_say_why() -> None:
    first, second = bundled_seeds()[:2]

    described = describe([first, "nonsense", second])

    assert [row.valid for row in described] == [True, False, True]
    assert described[1].to_json() == {
        "seed": "nonsense",
        "valid": False,
        "reason": "Its length is 8; a seed has at least 20 characters.",
    }
    assert described[2] == describe([second])[0]


@given(st.lists(st.text(max_size=50) | st.sampled_from(bundled_seeds()), max_size=5))
def test_any_texts_are_described_in_order(texts: list[str]) -> None:
    assert [row.seed for row in describe(texts)] == texts
