"""Adds refinements and their vectors to the lake's refined palettes; one writer at a time."""

import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from msgspec.structs import replace

from grabient_ops.analytics.compaction import choose
from grabient_ops.analytics.locking import acquire
from grabient_ops.analytics.manifest import (
    Watermark,
    move_watermark,
    replace_generation,
    sweep,
    without_expired,
)
from grabient_ops.analytics.parquet import copy, scan
from grabient_ops.analytics.refined import (
    MADE,
    ROWS,
    RefinedFile,
    RefinedManifest,
    live_rows,
    read_refined,
)
from grabient_ops.analytics.refinements import Refinement
from grabient_ops.analytics.search.embedding import Vectors
from grabient_ops.analytics.search.words import words_of
from grabient_ops.analytics.warehouse import connect
from grabient_ops.errors import StoreError

_ROWS_PER_FILE = 131_072


class RefinedWriter:
    """The one writer of the refined palettes; see `open_refined`. It publishes once.

    Attributes:
        published: the generation that readers see; its number is 0 when there is none yet.
        base: what will be added to.
    """

    def __init__(self, folder: Path, published: RefinedManifest) -> None:
        self.published = published
        self.base = published
        self._folder = folder
        self._token = f"{published.generation + 1:06}-{secrets.token_hex(3)}"
        self._batches: set[str] = set()
        self._added: list[RefinedFile] = []
        self._rows = 0

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = connect()
        # Columns of objects are texts, nothing to guess.
        connection.execute("SET pandas_analyze_sample = 0")
        return connection

    def start_over(self, embedding: str) -> None:
        """Add to an empty set; what is published stays until this writer publishes."""
        same = embedding == self.published.embedding
        dimensions = self.published.dimensions if same else 0
        self.base = RefinedManifest(embedding=embedding, dimensions=dimensions)

    def vectors_of(self, batches: Collection[str]) -> dict[str, Vectors]:
        """Return the vectors that the texts of some batches have already."""
        known: dict[str, Vectors] = {}
        for part in self.base.parts:
            if set(batches).intersection(part.batches):
                rows = self._connection.sql(live_rows(self._folder, part))
                asked = duckdb.ColumnExpression("batch_id").isin(
                    *map(duckdb.ConstantExpression, batches)
                )
                for text, vector in rows.filter(asked).select("embed_text, vector").fetchall():
                    known[text] = np.array(vector, dtype=np.float32)
        return known

    def published_vectors(self, texts: Collection[str]) -> dict[str, Vectors]:
        """Return what texts have in whatever is published, if that is of the same model."""
        files = [part.file for part in self.published.parts]
        if not files or self.base.embedding != self.published.embedding:
            return {}
        self._connection.register("asked", {"embed_text": np.array([*texts], dtype=object)})
        found = self._connection.sql(
            f"FROM {scan(self._folder, files)} SEMI JOIN asked USING (embed_text)"
            " SELECT embed_text, vector"
        ).fetchall()
        self._connection.unregister("asked")
        return {text: np.array(vector, dtype=np.float32) for text, vector in found}

    def forget(self, batches: Collection[str]) -> None:
        """Let the published rows of these batches count no more; add what replaces them."""
        parts = (part.without(batches) for part in self.base.parts)
        self.base = replace(self.base, parts=[part for part in parts if not part.is_dead])

    def add(self, rows: Sequence[Refinement], vectors: Vectors) -> None:
        """Add refinements, with one vector each; a page of some thousand is a good size."""
        dimensions = vectors.shape[1]
        self._insert(_columns(rows, vectors), dimensions)
        self._batches.update(row.batch_id for row in rows)
        self._rows += len(rows)
        self.base = replace(self.base, dimensions=dimensions)
        if self._rows >= _ROWS_PER_FILE:
            self._flush()

    def publish(self, watermark: Watermark) -> RefinedManifest:
        """Make it all visible at once, and return the generation that readers see now."""
        self._flush()
        parts = [*self.base.parts, *self._added]
        same = self.base.embedding == self.published.embedding and parts == self.published.parts
        if same and self.published.generation:
            return move_watermark(self._folder, self.published, watermark)
        manifest = replace(
            self.base,
            generation=self.published.generation + 1,
            published_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            watermark=watermark,
            parts=self._compact(parts),
        )
        return replace_generation(self._folder, self.published, manifest)

    def close(self) -> None:
        """Give memory back; what was not published is swept away by the next writer."""
        if "_connection" in vars(self):
            self._connection.close()

    def _insert(self, page: Mapping[str, Any], dimensions: int) -> None:
        """Vectors go in as one column per dimension: many times faster than as lists."""
        columns = {**ROWS, **MADE, "vector": MADE["vector"].format(dimensions)}
        table = ", ".join(map(" ".join, columns.items()))
        vector = ", ".join(f"v{number}" for number in range(dimensions))
        given = ", ".join((*ROWS, "words"))
        self._connection.register("page", page)
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS added ({table})")
        self._connection.execute(
            f"INSERT INTO added SELECT {given}, array_value({vector}) FROM page"  # noqa: S608 - ours
        )
        self._connection.unregister("page")

    def _flush(self) -> None:
        if self._rows:
            file = f"refined-{len(self._added)}-{self._token}.parquet"
            self._write("FROM added ORDER BY refinement_id", file)
            self._connection.execute("DROP TABLE added")
            self._added.append(RefinedFile(file, self._rows, sorted(self._batches)))
            self._batches, self._rows = set(), 0

    def _compact(self, parts: Sequence[RefinedFile]) -> list[RefinedFile]:
        """Merge files of one size class, or write one anew that is mostly dead; one per refresh."""
        chosen = choose([part.rows for part in parts], _ROWS_PER_FILE) or _mostly_dead(parts)
        if not chosen:
            return [*parts]
        file = f"refined-m-{self._token}.parquet"
        merged = [parts[index] for index in chosen]
        rows = " UNION ALL ".join(f"FROM ({live_rows(self._folder, part)})" for part in merged)
        count = self._write(f"FROM ({rows}) ORDER BY refinement_id", file)
        batches = {batch for part in merged for batch in set(part.batches).difference(part.dead)}
        kept = [part for index, part in enumerate(parts) if index not in chosen]
        return [*kept, RefinedFile(file, count, sorted(batches))]

    def _write(self, query: str, file: str) -> int:
        return copy(self._connection, query, self._folder / file)


def _columns(rows: Sequence[Refinement], vectors: Vectors) -> dict[str, Any]:
    """Return refinements as what DuckDB reads fastest: one array per column."""
    given = dict(zip(Refinement._fields, zip(*rows, strict=True), strict=True))
    page = {
        name: np.array(given[name], dtype=np.int64 if kind.endswith(("INT", "INTEGER")) else object)
        for name, kind in ROWS.items()
        if name != "cost"
    }
    # As texts, which DuckDB casts: NULL is no number, and lists of different lengths have no array.
    costs = (None if row.cost is None else str(row.cost) for row in rows)
    page["cost"] = np.array([*costs], dtype=object)
    page["words"] = np.array([str(words_of(row.embed_text)) for row in rows], dtype=object)
    return {**page, **{f"v{number}": column for number, column in enumerate(vectors.T.copy())}}


def _mostly_dead(parts: Sequence[RefinedFile]) -> list[int]:
    """Return the first file that is more dead than alive."""
    return next(([i] for i, part in enumerate(parts) if 2 * len(part.dead) > len(part.batches)), [])


@contextmanager
def open_refined(folder: Path, *, wait_s: float = 60.0) -> Iterator[RefinedWriter]:
    """Hold the refined palettes for writing.

    Args:
        folder: theirs, within the lake; made when missing.
        wait_s: how long to wait for another writer.

    Raises:
        StoreError: another process writes to it, or it cannot be read or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder, wait_s):
            published = without_expired(read_refined(folder) or RefinedManifest())
            sweep(folder, published)
            writer = RefinedWriter(folder, published)
            try:
                yield writer
            finally:
                writer.close()
    except (OSError, duckdb.Error) as error:
        raise StoreError(f"{folder} cannot be read or written: {error}") from error


@contextmanager
def _locked(folder: Path, wait_s: float) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        acquire(descriptor, wait_s, folder)
        yield
    finally:
        os.close(descriptor)
