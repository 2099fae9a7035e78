"""Ranks refined palettes by meaning: one generation of the lake's vectors, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray

from grabient_ops.analytics.refined import REFINED, RefinedManifest, read_refined, refined_rows
from grabient_ops.analytics.search.embedding import Embedder, Vectors
from grabient_ops.analytics.search.sketch import Indices, Sketch, largest
from grabient_ops.analytics.search.words import Words
from grabient_ops.analytics.warehouse import connect
from grabient_ops.errors import GrabientError, InputError, StoreError

EXHAUSTIVE = 100_000
"""Up to so many palettes all are compared; of more, those that a sketch chooses."""

CANDIDATES = 2048
"""How many the sketch chooses, and how many it chooses together with the words."""

Texts = NDArray[np.object_]

_WORDS_WEIGHT = 0.2
"""What all words of a query, found as they are, add to a cosine."""


class EmptyIndexError(GrabientError):
    """No palette is refined yet, so none can be found."""


class Hit(NamedTuple):
    """One palette that was found.

    Attributes:
        score: cosine of the vectors, plus up to 0.2 for words of the query that are in the text.
        tags: the ten canonical fields.
        embed_text: what the vector is of.
    """

    seed: str
    score: float
    tags: Mapping[str, Any]
    embed_text: str


@dataclass(frozen=True, eq=False)
class Index:
    """One generation, ready for queries; safe to use from several threads.

    Attributes:
        generation: number of the generation.
        embedding: the model that made the vectors.
        seeds, tags, texts: of the refined palettes; tags as JSON.
        vectors: one row per palette.
        words: of the texts.
    """

    generation: int
    embedding: str
    seeds: Texts
    tags: Texts
    texts: Texts
    vectors: Vectors
    words: Words

    def search(self, text: str, embedder: Embedder, limit: int = 10) -> list[Hit]:
        """Return the palettes that are closest to a text, best first.

        With another embedding model than the index's, as while it is made anew, only words count.

        Raises:
            InputError: the text is blank.
            GrabientError: the embedder failed.
        """
        if not text.strip():
            raise InputError("there is nothing to search for; say what it should be like")
        vector = np.zeros(self.vectors.shape[1], dtype=np.float32)
        if embedder.model == self.embedding:
            (vector,) = embedder.embed([text])
        return self._best(vector, _WORDS_WEIGHT * self.words.shares(text), limit)

    def neighbours(self, seed: str, limit: int = 10) -> list[Hit]:
        """Return the palettes that are closest to a refined one, without itself, best first.

        Raises:
            InputError: the palette is not refined.
        """
        place = self._places.get(seed)
        if place is None:
            raise InputError(f"{seed} is no refined palette")
        no_words = np.zeros(len(self.seeds), dtype=np.float32)
        hits = self._best(self.vectors[place], no_words, limit + 1)
        return [hit for hit in hits if hit.seed != seed][:limit]

    @cached_property
    def _sketch(self) -> Sketch:
        return Sketch(self.vectors)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {seed: place for place, seed in enumerate(self.seeds)}

    def _best(self, vector: Vectors, bonus: Vectors, limit: int) -> list[Hit]:
        if len(self.seeds) <= EXHAUSTIVE:
            scores = self.vectors @ vector + bonus
            places = largest(scores, limit)
            return self._hits(places, scores[places])
        places = self._candidates(vector, bonus, limit)
        scores = self.vectors[places] @ vector + bonus[places]
        best = largest(scores, limit)
        return self._hits(places[best], scores[best])

    def _candidates(self, vector: Vectors, bonus: Vectors, limit: int) -> Indices:
        likeness = self._sketch.likeness(vector)
        count = max(CANDIDATES, 4 * limit)
        return np.union1d(largest(likeness, count), largest(likeness + bonus, count))

    def _hits(self, places: Indices, scores: Vectors) -> list[Hit]:
        hits = (
            Hit(
                self.seeds[place],
                round(float(score), 4),
                msgspec.json.decode(self.tags[place]),
                self.texts[place],
            )
            for place, score in zip(places, scores, strict=True)
        )
        return sorted(hits, key=lambda hit: (-hit.score, hit.seed))


def open_index(lake: Path) -> Index:
    """Read the present generation of a lake's refined palettes into memory.

    Raises:
        EmptyIndexError: there are none.
        StoreError: they cannot be read.
    """
    folder = lake / REFINED
    manifest = read_refined(folder)
    if manifest is None or not manifest.parts:
        raise EmptyIndexError("no refined palettes yet; `grabient-ops refine` makes some")
    rows = _read(folder, manifest)
    newest = _newest(rows)
    seeds, tags, texts = (rows[name][newest] for name in ("seed", "tags", "embed_text"))
    words = Words(rows["words"][newest])
    vectors = np.stack(list(rows["vector"][newest]))
    return Index(manifest.generation, manifest.embedding, seeds, tags, texts, vectors, words)


def _read(folder: Path, manifest: RefinedManifest) -> dict[str, NDArray[Any]]:
    try:
        with connect() as connection:
            rows: dict[str, NDArray[Any]] = connection.sql(
                refined_rows(folder, manifest)
            ).fetchnumpy()
    except duckdb.Error as error:
        raise StoreError(f"{folder} cannot be read: {error}") from error
    return rows


def _newest(rows: Mapping[str, NDArray[Any]]) -> Indices:
    """Return where the newest refinement of each palette is, in the order of the palettes."""
    order = np.lexsort((rows["refinement_id"], rows["created_at"]))
    last = dict(zip(rows["seed"][order], order, strict=True))
    return np.array(sorted(last.values()), dtype=np.int64)
