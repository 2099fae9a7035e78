"""Brings a lake up to date with the operational store, by its change feed."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.lake import LakeWriter, open_lake
from grabient_ops.analytics.locking import LakeBusyError
from grabient_ops.analytics.manifest import read_manifest
from grabient_ops.analytics.source import Snapshot, Source, open_source

OnProgress = Callable[[int], None]
_PROGRESS_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync did.

    Attributes:
        generation: the lake's generation after it.
        answers: rows read from the store; 0 when the lake was up to date.
        batches: batches read anew; None after a rebuild, which reads all.
        elapsed_s: seconds.
    """

    generation: int
    answers: int
    batches: int | None
    elapsed_s: float


def sync(
    lake: Path,
    url: str,
    *,
    rebuild: bool = False,
    wait_s: float = 60.0,
    on_progress: OnProgress | None = None,
) -> Synced:
    """Bring the lake to the present state of the store, and publish it at once.

    It may be interrupted at any point, repeated, and called while a follower runs: writers take
    turns, and each reads what the last one has left.

    Args:
        lake: the folder.
        url: the store's SQLAlchemy URL.
        rebuild: read everything again, whatever the lake holds.
        wait_s: how long to wait for another writer.
        on_progress: called with the number of answers read so far.

    Raises:
        StoreError: the store cannot be read, or the lake not be written.
    """
    with closing(open_source(url)) as source:
        return refresh(lake, source, rebuild=rebuild, wait_s=wait_s, on_progress=on_progress)


def catch_up(
    lake: Path,
    url: str,
    tell: Callable[[str], None],
    *,
    patience_s: float = 2.0,
    on_progress: OnProgress | None = None,
) -> None:
    """Bring the lake up to date for a question, or leave that to the process that is at it.

    While another one holds the lake, what is published will do; where nothing is, this waits.

    Args:
        lake: the folder.
        url: the store's SQLAlchemy URL.
        tell: called with a sentence when the answer will not be of this moment, or takes time.
        patience_s: how long to wait for the other before looking at what is published.
        on_progress: as for `sync`.

    Raises:
        StoreError: as `sync`.
    """
    is_told = False
    while True:
        try:
            sync(lake, url, wait_s=patience_s, on_progress=on_progress)
        except LakeBusyError:
            if manifest := read_manifest(lake):
                tell(
                    "another process is bringing the warehouse up to date; this is from generation"
                    f" {manifest.generation} of {manifest.published_at}"
                )
                return
            if not is_told:
                tell("another process is filling the warehouse for the first time; waiting for it")
                is_told = True
        else:
            return


def refresh(
    lake: Path,
    source: Source,
    *,
    rebuild: bool = False,
    wait_s: float = 60.0,
    on_progress: OnProgress | None = None,
) -> Synced:
    """Do the same for a store that is open."""
    started = time.perf_counter()
    with (
        open_lake(lake, wait_s=wait_s, rebuild=rebuild) as writer,
        source.snapshot() as snapshot,
    ):
        batches = _prepare(writer, snapshot)
        answers = 0
        if batches != []:
            rows = snapshot.answers(batches)
            answers = writer.add(_watched(rows, on_progress) if on_progress else rows)
        generation = writer.publish(snapshot.watermark).generation
    elapsed_s = time.perf_counter() - started
    return Synced(generation, answers, None if batches is None else len(batches), elapsed_s)


def _prepare(writer: LakeWriter, snapshot: Snapshot) -> list[str] | None:
    """Remove what will be read anew, and return the batches to read; None for all."""
    since = writer.watermark
    batches = None if since is None else snapshot.changed(since)
    if batches is None:
        writer.start_over()
    elif batches:
        writer.forget(batches)
    return batches


def _watched(answers: Iterable[Answer], on_progress: OnProgress) -> Iterator[Answer]:
    for number, answer in enumerate(answers, start=1):
        yield answer
        if number % _PROGRESS_EVERY == 0:
            on_progress(number)
