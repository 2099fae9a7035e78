"""Brings the lake's refined palettes up to date with the store, by its change feed."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from grabient_ops.analytics.refined import REFINED, RefinedManifest
from grabient_ops.analytics.refinements import Refinement
from grabient_ops.analytics.search.embedding import Embedder, Vectors
from grabient_ops.analytics.search.keeping import keeping, require_dimensions
from grabient_ops.analytics.search.writing import RefinedWriter, open_refined
from grabient_ops.analytics.source import Snapshot, open_source

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


def refresh_refined(lake: Path, url: str, embedder: Embedder, *, wait_s: float = 60.0) -> Refreshed:
    """Bring the refined palettes of a lake to the present state of the store.

    What is published stays to be read until all of the new is; it may be interrupted at any point.
    Another embedding model, another store, or files that cannot be read mean that everything is
    made anew; else only the changed batches are. Texts that have a vector of the model keep it, and
    one that was paid for is on disk as soon as it comes, so that a crash costs nothing.

    Args:
        lake: the folder.
        url: the store's SQLAlchemy URL.
        embedder: what makes the vectors.
        wait_s: how long to wait for another writer.

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
        if batches == []:
            read = embedded = 0
            generation = writer.publish(snapshot.watermark).generation
        else:
            with keeping(embedder, lake / REFINED) as maker:
                read, embedded = _read(writer, snapshot, batches, maker)
                generation = writer.publish(snapshot.watermark).generation
    return Refreshed(generation, read, embedded, time.perf_counter() - started)


def _read(
    writer: RefinedWriter, snapshot: Snapshot, batches: list[str] | None, embedder: Embedder
) -> tuple[int, int]:
    """Add some batches, or all; return how many refinements they are, and texts without vector."""
    read = embedded = 0
    known = writer.vectors_of(batches or ())
    writer.forget(batches or ())
    for page in _pages(snapshot.refinements(batches)):
        texts = {row.embed_text for row in page}
        if batches is None:
            known = writer.published_vectors(texts)
        fresh = sorted(texts.difference(known))
        made = embedder.embed(fresh)
        if fresh:
            require_dimensions(embedder.model, writer.base.dimensions or made.shape[1], made)
        writer.add(page, _in_order(page, {**known, **dict(zip(fresh, made, strict=True))}))
        read += len(page)
        embedded += len(fresh)
    return read, embedded


def _to_read(writer: RefinedWriter, snapshot: Snapshot, embedder: Embedder) -> list[str] | None:
    """Return the batches to read, None for all of them into an empty set."""
    published = writer.published
    if published.watermark is not None and published.embedding == embedder.model:
        batches = snapshot.changed(published.watermark, "refinements")
        if batches is not None and published.format == RefinedManifest().format:
            return batches
    writer.start_over(embedder.model)
    return None


def _pages(rows: Iterable[Refinement]) -> Iterator[list[Refinement]]:
    rows = iter(rows)
    while page := list(islice(rows, _PAGE)):
        yield page


def _in_order(page: list[Refinement], vectors: Mapping[str, Vectors]) -> Vectors:
    return np.stack([vectors[row.embed_text] for row in page])
