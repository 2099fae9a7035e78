"""Brings the lake's refined palettes up to date with the store, by its change feed."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from grabient_ops.analytics.refined import REFINED
from grabient_ops.analytics.refinements import Refinement
from grabient_ops.analytics.search.embedding import Embedder, Vectors
from grabient_ops.analytics.search.writing import RefinedWriter, open_refined
from grabient_ops.analytics.source import Snapshot, open_source
from grabient_ops.errors import ConfigError

OnProgress = Callable[[int], None]
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        generation: the refined palettes' generation after it.
        read: refinements read from the store; 0 when there was no news.
        embedded: texts of them that had no vector yet.
        elapsed_s: seconds.
    """

    generation: int
    read: int
    embedded: int
    elapsed_s: float


def refresh_refined(
    lake: Path,
    url: str,
    embedder: Embedder,
    *,
    wait_s: float = 60.0,
    on_progress: OnProgress | None = None,
) -> Refreshed:
    """Bring the refined palettes of a lake to the present state of the store.

    What is published stays to be read until all of the new is; it may be interrupted at any point.
    Another embedding model, another store, or files that cannot be read mean that everything is
    made anew; else only the changed batches are, and texts that have a vector keep it.

    Args:
        lake: the folder.
        url: the store's SQLAlchemy URL.
        embedder: what makes the vectors.
        wait_s: how long to wait for another writer.
        on_progress: called with the number of refinements done so far.

    Raises:
        StoreError: the store cannot be read, or the lake not be written.
        GrabientError: the embedder failed.
    """
    started = time.perf_counter()
    with (
        closing(open_source(url)) as source,
        open_refined(lake / REFINED, wait_s=wait_s) as writer,
        source.snapshot() as snapshot,
    ):
        batches = _to_read(writer, snapshot, embedder)
        read = embedded = 0
        if batches != []:
            known = writer.vectors_of(batches or ())
            writer.forget(batches or ())
            for page in _pages(snapshot.refinements(batches)):
                vectors, fresh = _vectors(page, known, embedder, writer.base.dimensions)
                writer.add(page, vectors)
                read += len(page)
                embedded += fresh
                if on_progress:
                    on_progress(read)
        generation = writer.publish(snapshot.watermark).generation
    return Refreshed(generation, read, embedded, time.perf_counter() - started)


def _to_read(writer: RefinedWriter, snapshot: Snapshot, embedder: Embedder) -> list[str] | None:
    """Return the batches to read, None for all of them into an empty set."""
    published = writer.published
    if published.watermark is not None and published.embedding == embedder.model:
        batches = snapshot.changed(published.watermark, "refinements")
        if batches is not None:
            return batches
    writer.start_over(embedder.model)
    return None


def _pages(rows: Iterable[Refinement]) -> Iterator[list[Refinement]]:
    rows = iter(rows)
    while page := list(islice(rows, _PAGE)):
        yield page


def _vectors(
    page: list[Refinement], known: Mapping[str, Vectors], embedder: Embedder, dimensions: int
) -> tuple[Vectors, int]:
    """Return one vector per row, and how many texts had to be embedded for them."""
    fresh = sorted({row.embed_text for row in page}.difference(known))
    made = embedder.embed(fresh)
    if fresh and dimensions not in {0, made.shape[1]}:
        message = f"{embedder.model} gave vectors of {dimensions} numbers, now of {made.shape[1]}"
        raise ConfigError(f"{message}; set GRABIENT_OPS_EMBEDDING_MODEL to another model")
    vectors = {**known, **dict(zip(fresh, made, strict=True))}
    return np.stack([vectors[row.embed_text] for row in page]), len(fresh)
