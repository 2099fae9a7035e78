"""How one model differs from another: its habits, its favourite words, and how often it slips."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random

from grabient_ops.sandbox.limits import dated
from grabient_ops.sandbox.personas.palette import pools

_LIST_POOLS = ("mood", "style", "seasonal", "associations")
_SMALL = re.compile(r"nano|lite|20b|8b|haiku-3|instant")
_THINKS_ALOUD = re.compile(r"qwen|deepseek|magistral")


@dataclass(frozen=True, slots=True)
class Taste:
    """One model's habits. Rates are shares of 1.

    Attributes:
        returned: the id under which the provider says it has answered.
        agreement: how readily it says what everyone says.
        wordiness: most tags per list.
        abroad: share of tags that are not English.
        dissent: how often it sees another temperature, contrast ... than was computed.
        slips: scales every mistake; small models slip more.
        thinks_aloud: whether it leaves `<think>` in its answer.
        pretty: whether it indents its JSON.
        capitals: whether it likes Title Case.
        tics: by list field the words that it says about everything.
    """

    returned: str
    agreement: float
    wordiness: int
    abroad: float
    dissent: float
    slips: float
    thinks_aloud: bool
    pretty: bool
    capitals: bool
    tics: Mapping[str, tuple[str, ...]]


@cache
def taste_of(model: str) -> Taste:
    """Make up a model's taste from nothing but its id; the same id always has the same."""
    rng = Random(f"taste of {model}")  # noqa: S311 - repeatable by design
    small = bool(_SMALL.search(model))
    everything = {
        field: sorted({w for ws in pools()[field].values() for w in ws}) for field in _LIST_POOLS
    }
    return Taste(
        returned=dated(model),
        agreement=rng.uniform(0.55, 0.75) if small else rng.uniform(0.65, 0.85),
        wordiness=rng.choice((3, 4, 5)),
        abroad=rng.choice((0.0, 0.01, 0.02, 0.06)),
        dissent=rng.uniform(0.04, 0.12) + 0.06 * small,
        slips=rng.uniform(1.1, 1.5) if small else rng.uniform(0.8, 1.1),
        thinks_aloud=bool(_THINKS_ALOUD.search(model)),
        pretty=rng.random() < 0.5,
        capitals=rng.random() < 0.15,
        tics={field: tuple(rng.sample(words, 4)) for field, words in everything.items()},
    )
