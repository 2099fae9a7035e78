"""Adds answers to a lake and publishes them as its next generation; one writer at a time."""

import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path

import duckdb
from msgspec.structs import replace

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.compaction import compact_dictionary, compact_segments
from grabient_ops.analytics.locking import acquire
from grabient_ops.analytics.manifest import (
    DictionaryFile,
    DictionaryName,
    Manifest,
    Segment,
    Watermark,
    among,
    move_watermark,
    read_manifest,
    replace_generation,
    sweep,
    without_expired,
)
from grabient_ops.analytics.staging import Staging
from grabient_ops.analytics.tallies import count_all, count_some, is_due
from grabient_ops.analytics.warehouse import DICTIONARIES, connect
from grabient_ops.errors import StoreError

_PAGE = 10_000


class LakeWriter:
    """The one writer of a lake; see `open_lake`. It publishes once.

    Attributes:
        published: the generation that readers see; its number is 0 when there is none yet.
    """

    def __init__(self, lake: Path, published: Manifest) -> None:
        self.published = published
        self._lake = lake
        self._base = published
        self._token = f"{published.generation + 1:06}-{secrets.token_hex(3)}"

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return connect()

    @cached_property
    def _staging(self) -> Staging:
        return Staging(self._connection, self._lake, self._base, self._token)

    @property
    def watermark(self) -> Watermark | None:
        """Up to where the answers that are added to were read; None before the first one."""
        return self._base.watermark

    def start_over(self) -> None:
        """Add to an empty lake; what is published stays until this writer publishes."""
        self._base = Manifest()

    def forget(self, batch_ids: Collection[str]) -> None:
        """Let the published answers of these batches count no more; add what replaces them."""
        numbers = self._staging.dictionaries["batches"].find([(name,) for name in batch_ids])
        without = (_without(segment, numbers) for segment in self._base.segments)
        segments = [segment for segment in without if not segment.is_dead]
        self._base = replace(self._base, segments=segments)

    def add(self, answers: Iterable[Answer]) -> int:
        """Add answers, any number of them; return how many they were."""
        rows, total = iter(answers), 0
        while page := list(islice(rows, _PAGE)):
            self._staging.add(page)
            total += len(page)
        return total

    def publish(self, watermark: Watermark | None = None) -> Manifest:
        """Make it all visible at once, and return the generation that readers see now.

        Where nothing was added or forgotten, only the watermark moves, unless something is left to
        be counted in advance.
        """
        if "_staging" in vars(self) or not self._base.generation:
            return replace_generation(self._lake, self.published, self._written(watermark))
        if is_due(self.published):
            manifest = count_some(self._lake, self._next(self.published, watermark), self._token)
            return replace_generation(self._lake, self.published, manifest)
        return move_watermark(self._lake, self.published, watermark)

    def close(self) -> None:
        """Give memory back; what was not published is swept away by the next writer."""
        if "_connection" in vars(self):
            self._connection.close()

    def _written(self, watermark: Watermark | None) -> Manifest:
        """Write what is still in memory; return the generation that it makes."""
        self._staging.flush()
        segments = [*self._base.segments, *self._staging.segments]
        tallied = {facts for tally in self._base.tallies for facts in tally.segments}
        made = replace(
            self._next(self._base, watermark),
            segments=compact_segments(self._connection, self._lake, segments, tallied, self._token),
            dictionaries={name: self._write_dictionary(name) for name in DICTIONARIES},
        )
        if not self._base.generation:
            return count_all(self._lake, made, self._token)
        has_merged = made.segments != segments  # one of both is enough work for a refresh
        return made if has_merged else count_some(self._lake, made, self._token)

    def _next(self, manifest: Manifest, watermark: Watermark | None) -> Manifest:
        return replace(
            manifest,
            generation=self.published.generation + 1,
            published_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            watermark=watermark,
        )

    def _write_dictionary(self, name: DictionaryName) -> list[DictionaryFile]:
        added = self._staging.dictionaries[name].write(f"{name}-{self._token}.parquet")
        parts = [*self._base.dictionaries.get(name, ()), *([added] if added else [])]
        return compact_dictionary(self._connection, self._lake, name, parts, self._token)


def _without(segment: Segment, batches: Collection[int]) -> Segment:
    return replace(segment, dead=sorted({*segment.dead, *among(segment.batches, batches)}))


@contextmanager
def open_lake(lake: Path, *, wait_s: float = 60.0, rebuild: bool = False) -> Iterator[LakeWriter]:
    """Hold a lake for writing.

    Args:
        lake: the folder, made when missing.
        wait_s: how long to wait for another writer.
        rebuild: start over, even from a manifest that cannot be read.

    Raises:
        StoreError: another process writes to the lake, or it cannot be read or written.
    """
    with _explained(lake):
        lake.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lake.with_name(f"{lake.name}.lock").open("a") as lock:
            acquire(lock.fileno(), wait_s, lake)
            published = _published(lake, rebuild=rebuild)
            sweep(lake, published)
            writer = LakeWriter(lake, published)
            if rebuild:
                writer.start_over()
            try:
                yield writer
            finally:
                writer.close()


@contextmanager
def _explained(lake: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        raise StoreError(f"the lake {lake} cannot be read or written: {error}") from error


def _published(lake: Path, *, rebuild: bool) -> Manifest:
    """Return what is published, without those files of former generations that may go now."""
    try:
        manifest = read_manifest(lake) or Manifest()
    except StoreError:
        if not rebuild:
            raise
        manifest = Manifest()
    return without_expired(manifest)
