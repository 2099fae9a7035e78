"""Finds palettes that look alike, by the colours of all that are stored."""

import threading
from typing import NamedTuple

import numpy as np
from sqlalchemy.engine import Connection

from grabient_ops.palettes.bulk import read_colours
from grabient_ops.palettes.gradient import STEPS
from grabient_ops.palettes.seed import InvalidSeedError
from grabient_ops.palettes.similarity import NEAR_DUPLICATE, distances
from grabient_ops.palettes.spaces import Bytes
from grabient_ops.store.browsing import all_seeds
from grabient_ops.web.swatches import stripes

_BLOCK = 2048
_ALIKE = 35
"""Beyond this people see nothing in common; half of the site's palettes have eight nearer ones."""


class Lookalike(NamedTuple):
    """A palette beside another one.

    Attributes:
        distance: mean CIE76 difference of colours; 0 when they are the same.
    """

    seed: str
    distance: float

    @property
    def is_near_duplicate(self) -> bool:
        """Whether people would take the two for one."""
        return self.distance < NEAR_DUPLICATE


class Lookalikes:
    """Colours of all palettes; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seeds: list[str] = []
        self._rgb = np.empty((0, STEPS, 3), np.uint8)

    def nearest(self, connection: Connection, seed: str, limit: int) -> list[Lookalike]:
        """Return the stored palettes that look like a seed, the nearest first."""
        _, one = _coloured([seed])
        if not len(one):
            return []
        with self._lock:
            self._follow(connection)
            seeds, rgb = self._seeds, self._rgb
        blocks = (rgb[start : start + _BLOCK] for start in range(0, len(rgb), _BLOCK))
        distance = np.concatenate([np.empty(0), *(distances(one, block)[0] for block in blocks)])
        places = distance.argsort(kind="stable")[: limit + 1].tolist()
        near = [Lookalike(seeds[place], float(distance[place])) for place in places]
        others = [other for other in near if other.seed != seed and other.distance < _ALIKE]
        return others[:limit]

    def _follow(self, connection: Connection) -> None:
        """Draw what is new and drop what is gone; the colours of a seed never change."""
        stored = all_seeds(connection)
        place = {seed: place for place, seed in enumerate(self._seeds)}
        fresh = [seed for seed in stored if seed not in place]
        kept = [place[seed] for seed in stored if seed in place]
        if not fresh and len(kept) == len(self._seeds):
            return
        blocks = (fresh[start : start + _BLOCK] for start in range(0, len(fresh), _BLOCK))
        drawn = [_coloured(block) for block in blocks]
        self._rgb = np.concatenate([self._rgb[kept], *(rgb for _, rgb in drawn)])
        self._seeds = [self._seeds[place] for place in kept]
        self._seeds += [seed for seeds, _ in drawn for seed in seeds]


def _coloured(seeds: list[str]) -> tuple[list[str], Bytes]:
    """Return those texts that are seeds, with their colours."""
    try:
        return seeds, read_colours(seeds)
    except InvalidSeedError:
        valid = [seed for seed in seeds if stripes(seed)]
        return valid, read_colours(valid)
