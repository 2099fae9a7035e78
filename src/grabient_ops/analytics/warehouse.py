"""Opens a lake for questions: an in-memory DuckDB with one view per table, over one generation."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Self

import duckdb

from grabient_ops.analytics.manifest import DictionaryName, Manifest, Segment, Tally, read_manifest
from grabient_ops.analytics.parquet import nothing, quoted, scan
from grabient_ops.analytics.refined import REFINED, RefinedManifest, read_refined, refined_view
from grabient_ops.errors import GrabientError

FACTS = {
    "response_id": "BIGINT", "palette_id": "INTEGER", "prompt_id": "SMALLINT",
    "model_id": "SMALLINT", "run_number": "INTEGER", "category": "VARCHAR", "tag_id": "INTEGER",
    "given": "VARCHAR", "position": "INTEGER",
}  # fmt: skip
"""Columns of `facts`. `given` is NULL when the model wrote the tag as it is counted; `position` is
the place within the field, from 1."""

RESPONSES = {
    "response_id": "BIGINT", "palette_id": "INTEGER", "prompt_id": "SMALLINT",
    "model_id": "SMALLINT", "run_number": "INTEGER", "attempt": "INTEGER", "batch_id": "VARCHAR",
    "ok": "BOOLEAN", "error_class": "VARCHAR", "error": "VARCHAR", "response": "VARCHAR",
    "model_returned": "VARCHAR", "finish_reason": "VARCHAR", "parse_stage": "VARCHAR",
    "input_tokens": "BIGINT", "output_tokens": "BIGINT", "cached_tokens": "BIGINT",
    "reasoning_tokens": "BIGINT", "created_at": "TIMESTAMP",
}  # fmt: skip
"""Columns of `responses`, one row per row of the store's `palette_tags`; times are UTC."""

DICTIONARIES: dict[DictionaryName, dict[str, str]] = {
    "palettes": {"palette_id": "INTEGER", "seed": "VARCHAR", "bucket": "UTINYINT"},
    "models": {
        "model_id": "SMALLINT",
        "provider": "VARCHAR",
        "model": "VARCHAR",
        "source": "VARCHAR",
    },
    "prompts": {"prompt_id": "SMALLINT", "prompt_version": "VARCHAR"},
    "tags": {"tag_id": "INTEGER", "tag": "VARCHAR"},
    "batches": {"batch_no": "INTEGER", "batch_id": "VARCHAR"},
}
"""Columns of the tables that ids refer to; the first is the id.

A model whose answers come from several sources, `own` among them, has an id for each.
"""

_NAMES = (
    "JOIN palettes USING (palette_id) JOIN models USING (model_id) JOIN prompts USING (prompt_id)"
)
_ANSWERS = f"""CREATE VIEW answers AS
FROM responses AS r {_NAMES}
SELECT r.response_id, seed, prompt_version, provider, model,
       r.* EXCLUDE (response_id, palette_id, prompt_id, model_id), source"""
_VOTES = f"""CREATE VIEW votes AS
FROM facts AS f {_NAMES} JOIN tags USING (tag_id)
SELECT f.response_id, seed, prompt_version, provider, model, f.run_number, f.category, tag,
       coalesce(f.given, tag) AS given, f.position, source"""


class EmptyLakeError(GrabientError):
    """Nothing has been published yet."""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """One generation of a lake, open for questions.

    Attributes:
        connection: in-memory DuckDB with the views; use a `cursor()` per thread.
        generation: number of the generation; it stays the same until the lake is opened again.
        tallied: whether there are two more views: `tallies`, the consensus as it was counted in
            advance, and `moving`, the palettes for which it may have changed since.
    """

    connection: duckdb.DuckDBPyConnection
    generation: int
    tallied: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def open_warehouse(lake: Path) -> Warehouse:
    """Open the present generation of a lake.

    Raises:
        EmptyLakeError: nothing has been published yet.
        StoreError: the manifest cannot be read.
    """
    return open_generation(lake, require_manifest(lake))


def open_generation(lake: Path, manifest: Manifest) -> Warehouse:
    """Open any one generation of a lake."""
    connection = connect()
    tally = manifest.tally
    for statement in statements_of(lake, manifest):
        connection.execute(statement)
    if tally:
        connection.execute(f"CREATE VIEW tallies AS FROM {scan(lake, tally.files)}")
        connection.execute(f"CREATE VIEW moving AS {_moving(lake, manifest.segments, tally)}")
    return Warehouse(connection, manifest.generation, tallied=tally is not None)


def view_statements(lake: Path) -> list[str]:
    """Return the statements that make the views of the present generation; errors as above."""
    return statements_of(lake, require_manifest(lake))


def require_manifest(lake: Path) -> Manifest:
    """Return the present generation of a lake; errors as above."""
    manifest = read_manifest(lake)
    if manifest is None:
        message = "nothing has been synced; run `grabient-ops analytics sync`"
        raise EmptyLakeError(message)
    return manifest


def connect() -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that prints nothing."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    # Without it, a query that outgrows memory makes a folder where the command was called.
    spill = Path(gettempdir()) / f"grabient-ops-duckdb-{os.getuid()}"
    connection.execute(f"SET temp_directory = {quoted(str(spill))}")
    return connection


def statements_of(lake: Path, manifest: Manifest) -> list[str]:
    """Return the statements that make the views of one generation."""
    views: dict[str, str] = {}
    for name, columns in DICTIONARIES.items():
        if name != "batches":
            files = [part.file for part in manifest.dictionaries.get(name, ())]
            views[name] = _table(lake, files, columns)
    views["responses"] = _rows(lake, manifest.segments, "responses", RESPONSES)
    views["facts"] = _rows(lake, manifest.segments, "facts", FACTS)
    views["lake_info"] = (
        f"SELECT {manifest.generation} AS generation,"
        f" {quoted(json.dumps(manifest.watermark))} AS watermark,"
        f" {quoted(manifest.published_at)}::TIMESTAMP AS published_at"
    )
    refined = lake / REFINED
    views["refined"] = refined_view(refined, read_refined(refined) or RefinedManifest())
    made = [f"CREATE VIEW {name} AS {query}" for name, query in views.items()]
    return [*made, _ANSWERS, _VOTES]


def _moving(lake: Path, segments: Sequence[Segment], tally: Tally) -> str:
    """A palette moves when an answer about it was added, replaced or removed since."""
    moved = [nothing({"palette_id": "INTEGER"})]
    for segment in segments:
        rows = f"FROM {scan(lake, [segment.responses])} SELECT palette_id"
        then = tally.segments.get(segment.facts)
        died = set(segment.dead).difference(then or ())
        if then is None:
            moved.append(rows)
        elif died:
            moved.append(f"{rows} WHERE batch_no IN ({', '.join(map(str, died))})")
    return f"FROM ({' UNION ALL '.join(moved)}) SELECT DISTINCT palette_id"


def _table(lake: Path, files: Sequence[str], columns: Mapping[str, str]) -> str:
    return f"FROM {scan(lake, files)} SELECT {', '.join(columns)}" if files else nothing(columns)


def _rows(lake: Path, segments: Sequence[Segment], table: str, columns: Mapping[str, str]) -> str:
    """Whole segments are one scan; each other one leaves its dead batches out."""
    whole = [getattr(segment, table) for segment in segments if not segment.dead]
    others = [live(lake, segment, table) for segment in segments if segment.dead]
    scans = [_table(lake, whole, columns)] if whole or not others else []
    return " UNION ALL ".join(
        [*scans, *(f"FROM {rows} SELECT {', '.join(columns)}" for rows in others)]
    )


def live(lake: Path, segment: Segment, table: str) -> str:
    """Return the rows of a segment that count, as what follows FROM."""
    source = scan(lake, [getattr(segment, table)])
    if not segment.dead:
        return source
    return f"(FROM {source} WHERE batch_no NOT IN ({', '.join(map(str, segment.dead))}))"
