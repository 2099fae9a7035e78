"""Gives every text of a lake an integer that it keeps in all later generations."""

from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import duckdb

from grabient_ops.analytics.manifest import DictionaryFile, DictionaryName, Manifest
from grabient_ops.analytics.parquet import copy, scan
from grabient_ops.analytics.warehouse import DICTIONARIES

BUCKETS = 32
_LOOK_UP = 50_000

Key = tuple[str, ...]


def bucket_of(seed: str) -> int:
    """Return the bucket of a palette, the same on every engine: crc32 of its UTF-8, modulo 32."""
    return crc32(seed.encode()) % BUCKETS


class Dictionary:
    """One dictionary of a lake, and the new rows that are to be added to it.

    Only the texts that are asked for are read, so that a small refresh of a big lake stays small.

    Args:
        connection: where queries run.
        lake: the folder.
        manifest: the generation to add to.
        name: which one.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Path,
        manifest: Manifest,
        name: DictionaryName,
    ) -> None:
        self._connection = connection
        self._lake = lake
        self._columns = DICTIONARIES[name]
        self._stored = [part.file for part in manifest.dictionaries.get(name, ())]
        self._ids: dict[Key, int] = {}
        self._first_new = manifest.rows_of(name)
        self._new: list[Key] = []

    def resolve(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Return the ids of texts, those of earlier calls included; new texts get new ids."""
        unknown = [key for key in dict.fromkeys(keys) if key not in self._ids]
        if self._stored:
            for start in range(0, len(unknown), _LOOK_UP):
                self._look_up(unknown[start : start + _LOOK_UP])
        for key in unknown:
            if key not in self._ids:
                self._ids[key] = self._first_new + len(self._new)
                self._new.append(key)
        return self._ids

    def find(self, keys: Iterable[Key]) -> list[int]:
        """Return the ids of those texts that are stored; nothing is added."""
        if self._stored:
            self._look_up(list(keys))
        return [self._ids[key] for key in keys if key in self._ids]

    def write(self, file: str) -> DictionaryFile | None:
        """Write the new rows to a file of the lake; None when there are none."""
        if not self._new:
            return None
        ids = range(self._first_new, self._first_new + len(self._new))
        columns = [list(ids), *map(list, zip(*self._new, strict=True))]
        if "bucket" in self._columns:
            columns.append([bucket_of(seed) for (seed,) in self._new])
        copy(self._connection, f"SELECT {unnested(self._columns)}", self._lake / file, columns)
        return DictionaryFile(file, len(self._new))

    @property
    def _texts(self) -> list[str]:
        return [name for name, kind in self._columns.items() if kind == "VARCHAR"]

    def _look_up(self, keys: list[Key]) -> None:
        """Read the ids of texts from the lake's files."""
        texts = self._texts
        id_column = next(iter(self._columns))
        wanted = unnested(dict.fromkeys(texts, "VARCHAR"))
        rows = self._connection.execute(
            f"FROM {scan(self._lake, self._stored)}"
            f" SEMI JOIN (SELECT {wanted}) USING ({', '.join(texts)})"
            f" SELECT {id_column}, {', '.join(texts)}",
            [list(column) for column in zip(*keys, strict=True)] or [[] for _ in texts],
        ).fetchall()
        self._ids.update((tuple(key), number) for number, *key in rows)


def unnested(columns: dict[str, str]) -> str:
    """Return what makes rows of one list per column, given as parameters in that order."""
    return ", ".join(
        f"unnest(${place}::{kind}[]) AS {name}"
        for place, (name, kind) in enumerate(columns.items(), start=1)
    )
