"""What everyone would see in a palette: its computed facts and the words that suit them best."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from itertools import islice
from random import Random

import numpy as np

from grabient_ops.palettes.theory import Facts, facts

STEPS = 11
_HEX = re.compile(r"#([0-9a-fA-F]{6})\b")
_CORE = {"mood": 5, "style": 4, "seasonal": 3, "associations": 6}
_MOST_KEPT = 20_000

Pools = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Palette:
    """One palette as the personas see it.

    Attributes:
        core: by list field the words that most models will use, best first.
        fitting: by list field every word that suits the facts.
    """

    facts: Facts
    core: Mapping[str, tuple[str, ...]]
    fitting: Mapping[str, tuple[str, ...]]


@cache
def pools() -> Pools:
    """All words by field and trait."""
    text = (files(__package__) / "words.toml").read_text(encoding="utf-8")
    return {
        field: {trait: tuple(words.split(", ")) for trait, words in traits.items()}
        for field, traits in tomllib.loads(text).items()
    }


class Eye:
    """Looks at palettes, many at once, and remembers the last ones; threads may share it."""

    def __init__(self) -> None:
        self._seen: dict[bytes, Palette] = {}

    def look(self, texts: Sequence[str]) -> list[Palette]:
        """Find the palette in each text; a text without colours stands for one of its own."""
        if len(self._seen) > _MOST_KEPT:
            self._seen = {}
        seen = self._seen
        colours = [_colours(text) for text in texts]
        unknown = list({key: None for key in colours if key not in seen})
        seen.update(zip(unknown, _palettes(unknown), strict=True))
        return [seen[key] for key in colours]


def _colours(text: str) -> bytes:
    """Eleven RGB triples, 33 bytes."""
    found = [bytes.fromhex(match[1]) for match in islice(_HEX.finditer(text), STEPS)]
    if not found:
        return blake2b(text.encode(errors="replace"), digest_size=3 * STEPS).digest()
    return b"".join(found[i * len(found) // STEPS] for i in range(STEPS))


def _palettes(keys: Sequence[bytes]) -> Iterable[Palette]:
    if not keys:
        return
    rgb = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), STEPS, 3)
    for key, seen in zip(keys, facts(rgb), strict=True):
        fitting = _fitting(_traits(seen))
        rng = Random(key)  # noqa: S311 - the same palette always suggests the same words
        core = {field: tuple(rng.sample(fitting[field], count)) for field, count in _CORE.items()}
        yield Palette(seen, core, fitting)


def _traits(seen: Facts) -> tuple[str, ...]:
    return (seen.temperature, seen.brightness, seen.saturation, *seen.dominant_colors)


@cache
def _fitting(traits: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return {
        field: tuple(
            word for trait in (*traits, "anything") for word in pools()[field].get(trait, ())
        )
        for field in _CORE
    }
