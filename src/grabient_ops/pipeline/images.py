"""Draws the pictures that are missing, keeps them, and notes where they are, in that order.

Killed at any instant it loses nothing: what is kept but not noted is found by the next call.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from grabient_ops.images.objects import PictureStore
from grabient_ops.images.render import render_pngs
from grabient_ops.palettes.palette import InvalidSeedError
from grabient_ops.pipeline.services import utc_now
from grabient_ops.store.engine import Store
from grabient_ops.store.palettes import (
    first_seeds,
    known_seeds,
    seeds_without_image,
    set_image_keys,
)

_BLOCK = 250
"""Pictures between two commits."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What became of the pictures that were wanted.

    Attributes:
        made: pictures drawn and kept.
        already_there: pictures that were there.
        left: pictures still missing, beyond the limit.
        failed: reasons by seed, of texts that mean no palette.
    """

    made: int
    already_there: int
    left: int
    failed: dict[str, str]


def generate(
    store: Store,
    pictures: PictureStore,
    *,
    seeds: Iterable[str] | None = None,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Generated:
    """Make the pictures that are missing where pictures are kept, whatever the store believes.

    Args:
        store: the palettes; `image_key` is set once a picture is there, never before.
        pictures: where they are kept.
        seeds: whose pictures; None means all palettes, oldest first. Unknown ones are passed over.
        limit: make at most so many.
        on_progress: called with pictures that are done and pictures to do.

    Raises:
        PictureError: the folder or bucket cannot be used; what was made stays and is noted.
    """
    with store.read() as connection:
        wanted = _wanted(connection, seeds)
        unmarked = seeds_without_image(connection)
    missing = pictures.missing(wanted)
    there = set(wanted).difference(missing)
    _mark(store, pictures, there & unmarked)
    chosen = missing[:limit]
    failed: dict[str, str] = {}
    for start in range(0, len(chosen), _BLOCK):
        drawn = _draw(chosen[start : start + _BLOCK], failed)
        pictures.put(drawn)
        _mark(store, pictures, drawn)
        on_progress(min(start + _BLOCK, len(chosen)), len(chosen))
    return Generated(
        made=len(chosen) - len(failed),
        already_there=len(there),
        left=len(missing) - len(chosen),
        failed=failed,
    )


def _wanted(connection: Connection, seeds: Iterable[str] | None) -> list[str]:
    if seeds is None:
        return first_seeds(connection)
    once = list(dict.fromkeys(seeds))
    known = known_seeds(connection, once)
    return [seed for seed in once if seed in known]


def _draw(seeds: Sequence[str], failed: dict[str, str]) -> dict[str, bytes]:
    """Draw pictures by seed; where one text means no palette, add its reason to `failed`."""
    try:
        return dict(zip(seeds, render_pngs(seeds), strict=True))
    except InvalidSeedError as error:
        if len(seeds) == 1:
            failed[seeds[0]] = error.reason
            return {}
    return {seed: png for one in seeds for seed, png in _draw([one], failed).items()}


def _mark(store: Store, pictures: PictureStore, seeds: Iterable[str]) -> None:
    keys = {seed: pictures.key_of(seed) for seed in seeds}
    if keys:
        with store.write() as connection:
            set_image_keys(connection, keys, utc_now())
