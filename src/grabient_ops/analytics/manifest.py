"""The manifest of a lake: which immutable files make up one generation, published by renaming."""

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from typing_extensions import override

from grabient_ops.errors import StoreError

Ranges = list[tuple[int, int]]
"""Sorted, disjoint ranges of integers, both ends included."""

Watermark = dict[str, str | int]
"""Up to where a store's change feed has been read."""

Topic = Literal["responses", "refinements"]
"""What the feed calls changed answers, and changed refinements."""

DictionaryName = Literal["palettes", "models", "prompts", "tags", "batches"]

GRACE_S = 600.0
"""How long files of former generations stay, for readers that still hold one of these."""

NAME = "manifest.json"
_Kind = TypeVar("_Kind", bound="Generation")


class DictionaryFile(msgspec.Struct, frozen=True):
    """Some rows of a dictionary."""

    file: str
    rows: int


class Segment(msgspec.Struct, frozen=True):
    """Answers that were written together: one file of responses, one of their facts.

    Attributes:
        batches: numbers of the batches that have rows here.
        dead: numbers of those whose rows here were replaced by a later segment, or are gone.
    """

    responses: str
    facts: str
    rows: int
    batches: Ranges
    dead: list[int] = []

    @property
    def is_dead(self) -> bool:
        """Whether no row counts any more."""
        return count(self.batches) == len(self.dead)


class Generation(msgspec.Struct, frozen=True):
    """A set of immutable files in one folder, as it is at one time.

    Attributes:
        watermark: None when the rows do not come from a store.
        retired: files of former generations and when they were replaced, seconds since the epoch.
    """

    generation: int = 0
    published_at: str = ""
    watermark: Watermark | None = None
    retired: list[tuple[str, float]] = []
    format: int = 1

    def files(self) -> Iterator[str]:
        """Yield the names of all files that a reader of this generation needs."""
        raise NotImplementedError


class Tally(msgspec.Struct, frozen=True):
    """The consensus of all palettes over some segments, counted in advance.

    Attributes:
        segments: by the names of their facts, the batches of theirs that were dead then.
        ranges: of palette ids, one file for each.
        files: those that are written; the others come one by one.
    """

    segments: dict[str, list[int]]
    ranges: Ranges
    files: list[str] = []

    @property
    def is_complete(self) -> bool:
        """Whether all files are there; before, it is of no use."""
        return len(self.files) == len(self.ranges)


class Manifest(Generation, frozen=True):
    """One generation of a lake.

    Attributes:
        tallies: a complete one, one in the making, or both in this order.
    """

    segments: list[Segment] = []
    tallies: list[Tally] = []
    dictionaries: dict[DictionaryName, list[DictionaryFile]] = {}
    format: Literal[2] = 2

    @override
    def files(self) -> Iterator[str]:
        for segment in self.segments:
            yield segment.responses
            yield segment.facts
        for tally in self.tallies:
            yield from tally.files
        for part in chain.from_iterable(self.dictionaries.values()):
            yield part.file

    @property
    def useful_tallies(self) -> list[Tally]:
        """Those whose segments are all there; of others nobody knows what changed since."""
        there = {segment.facts for segment in self.segments}
        return [tally for tally in self.tallies if tally.segments.keys() <= there]

    @property
    def tally(self) -> Tally | None:
        """What was counted in advance, if it is complete and of use."""
        return next((tally for tally in self.useful_tallies if tally.is_complete), None)

    def rows_of(self, dictionary: DictionaryName) -> int:
        """Return how many rows a dictionary has; their ids are 0 to that, less one."""
        return sum(part.rows for part in self.dictionaries.get(dictionary, ()))


def read_manifest(lake: Path) -> Manifest | None:
    """Return the present generation of a lake.

    None when nothing was published, or only by a release whose files have other columns: then all
    is published anew.

    Raises:
        StoreError: it cannot be read, or a newer release has written it.
    """
    path = lake / NAME
    try:
        content = path.read_bytes()
        is_old = msgspec.json.decode(content, type=Generation).format < Manifest().format
        return None if is_old else msgspec.json.decode(content, type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        message = f"{path} cannot be read ({error}); `grabient-ops analytics sync --rebuild` helps"
        raise StoreError(message) from error


def write_manifest(lake: Path, manifest: Generation) -> None:
    """Publish a generation: readers see the former one or this one, never a mixture."""
    temporary = lake / f"{NAME}.new"
    temporary.write_bytes(msgspec.json.encode(manifest))
    sync_to_disk([temporary, lake])
    temporary.replace(lake / NAME)
    sync_to_disk([lake])


def move_watermark(lake: Path, published: _Kind, watermark: Watermark | None) -> _Kind:
    """Publish that nothing has changed up to a watermark; return what is published then."""
    if watermark == published.watermark:
        return published
    manifest = msgspec.structs.replace(published, watermark=watermark)
    write_manifest(lake, manifest)
    return manifest


def sync_to_disk(paths: Iterable[Path]) -> None:
    """Make files and folders survive a power cut."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_generation(lake: Path, before: Generation, after: _Kind) -> _Kind:
    """Publish a generation whose files are written; the files that it no longer names retire."""
    old, new = set(before.files()), set(after.files())
    sync_to_disk(lake / file for file in new - old)
    now = time.time()
    retired = [*before.retired, *((file, now) for file in sorted(old - new))]
    manifest = msgspec.structs.replace(after, retired=retired)
    write_manifest(lake, manifest)
    return manifest


def without_expired(manifest: _Kind) -> _Kind:
    """Return a generation without those retired files that may go now."""
    oldest = time.time() - GRACE_S
    retired = [old for old in manifest.retired if old[1] > oldest]
    return msgspec.structs.replace(manifest, retired=retired)


def sweep(lake: Path, manifest: Generation) -> None:
    """Remove what no generation names: leftovers of a refresher that was killed.

    Only the holder of the lake's lock may call it.
    """
    named = {NAME, *manifest.files(), *(file for file, _ in manifest.retired)}
    for path in lake.iterdir():
        if path.name not in named and path.is_file():
            path.unlink()


def to_ranges(numbers: Iterable[int]) -> Ranges:
    """Return distinct numbers as ranges."""
    ranges: Ranges = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def from_ranges(ranges: Ranges) -> Iterator[int]:
    """Yield the numbers in ranges."""
    return chain.from_iterable(range(first, last + 1) for first, last in ranges)


def count(ranges: Ranges) -> int:
    """Return how many numbers ranges hold."""
    return sum(last - first + 1 for first, last in ranges)


def among(ranges: Ranges, numbers: Iterable[int]) -> list[int]:
    """Return those of the numbers that ranges hold."""
    return [n for n in numbers if any(first <= n <= last for first, last in ranges)]
