"""Adds answers to a lake and publishes them as its next generation; one writer at a time."""

import fcntl
import secrets
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import duckdb
import msgspec

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.compaction import compact_dictionary, compact_segments
from grabient_ops.analytics.manifest import (
    DictionaryFile,
    DictionaryName,
    Manifest,
    Segment,
    Watermark,
    among,
    read_manifest,
    sweep,
    sync_to_disk,
    write_manifest,
)
from grabient_ops.analytics.staging import Staging
from grabient_ops.analytics.warehouse import DICTIONARIES, connect
from grabient_ops.errors import StoreError

GRACE_S = 600.0
"""How long files of former generations stay, for readers that still hold one of these."""

_PAGE = 10_000
_LOOK_S = 0.02


class LakeWriter:
    """The one writer of a lake; see `open_lake`. It publishes once.

    Attributes:
        published: the generation that it adds to.
    """

    def __init__(
        self, lake: Path, connection: duckdb.DuckDBPyConnection, published: Manifest
    ) -> None:
        self.published = published
        self._lake = lake
        self._connection = connection
        self._generation = published.generation + 1
        self._token = f"{self._generation:06}-{secrets.token_hex(3)}"
        self._staging = Staging(connection, lake, published, self._token)
        self._segments = list(published.segments)

    def forget(self, batch_ids: Collection[str]) -> None:
        """Let the published answers of these batches count no more; add what replaces them."""
        numbers = self._staging.dictionaries["batches"].find([(name,) for name in batch_ids])
        without = (_without(segment, numbers) for segment in self._segments)
        self._segments = [segment for segment in without if not segment.is_dead]

    def add(self, answers: Iterable[Answer]) -> int:
        """Add answers, any number of them; return how many they were."""
        rows, total = iter(answers), 0
        while page := list(islice(rows, _PAGE)):
            self._staging.add(page)
            total += len(page)
        return total

    def publish(self, watermark: Watermark | None = None) -> Manifest:
        """Make it all visible at once, and return the new generation."""
        self._staging.flush()
        segments = compact_segments(
            self._connection, self._lake, [*self._segments, *self._staging.segments], self._token
        )
        dictionaries = {name: self._write_dictionary(name) for name in DICTIONARIES}
        manifest = Manifest(
            generation=self._generation,
            published_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            watermark=watermark,
            segments=segments,
            dictionaries=dictionaries,
        )
        return self._replace(manifest)

    def _write_dictionary(self, name: DictionaryName) -> list[DictionaryFile]:
        added = self._staging.dictionaries[name].write(f"{name}-{self._token}.parquet")
        parts = [*self.published.dictionaries.get(name, ()), *([added] if added else [])]
        return compact_dictionary(self._connection, self._lake, name, parts, self._token)

    def _replace(self, manifest: Manifest) -> Manifest:
        named, before = set(manifest.files()), set(self.published.files())
        now = time.time()
        for file in before - named:
            manifest.retired.append((file, now))
        manifest.retired.extend(self.published.retired)
        sync_to_disk(self._lake / file for file in named - before)
        write_manifest(self._lake, manifest)
        return manifest


def _without(segment: Segment, batches: Collection[int]) -> Segment:
    dead = sorted({*segment.dead, *among(segment.batches, batches)})
    return Segment(segment.responses, segment.facts, segment.rows, segment.batches, dead)


@contextmanager
def open_lake(lake: Path, *, wait_s: float = 60.0, rebuild: bool = False) -> Iterator[LakeWriter]:
    """Hold a lake for writing.

    Args:
        lake: the folder, made when missing.
        wait_s: how long to wait for another writer.
        rebuild: start from nothing; readers keep the present generation until it is replaced.

    Raises:
        StoreError: another process writes to the lake, or its manifest cannot be read.
    """
    lake.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lake.with_name(f"{lake.name}.lock").open("a") as lock:
        _acquire(lock.fileno(), wait_s, lake)
        published = _emptied(lake) if rebuild else read_manifest(lake) or Manifest()
        published = _without_expired(published)
        sweep(lake, published)
        with connect() as connection:
            yield LakeWriter(lake, connection, published)


def _acquire(lock: int, wait_s: float, lake: Path) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StoreError(f"another process has been writing to {lake}; try again") from error
            time.sleep(_LOOK_S)
        else:
            return


def _emptied(lake: Path) -> Manifest:
    """Return a manifest without rows, to rebuild on; one that is broken has no files to keep."""
    try:
        old = read_manifest(lake) or Manifest()
    except StoreError:
        old = Manifest()
    now = time.time()
    retired = [*old.retired, *((file, now) for file in old.files())]
    return Manifest(generation=old.generation, retired=retired)


def _without_expired(manifest: Manifest) -> Manifest:
    oldest = time.time() - GRACE_S
    retired = [(file, at) for file, at in manifest.retired if at > oldest]
    return msgspec.structs.replace(manifest, retired=retired)
