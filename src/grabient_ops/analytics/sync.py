"""Brings a lake up to date with the operational store, by its change feed."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.lake import LakeWriter, open_lake
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
