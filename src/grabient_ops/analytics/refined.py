"""The manifest of the refined palettes, a set of files of its own in the lake, and their view."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace
from typing_extensions import override

from grabient_ops.analytics.manifest import NAME, Generation
from grabient_ops.analytics.parquet import nothing, quoted, scan

REFINED = "refined"
"""Name of the folder within a lake, and of the view."""

_SINCE_2 = {
    "input_tokens": "BIGINT", "output_tokens": "BIGINT", "cached_tokens": "BIGINT",
    "reasoning_tokens": "BIGINT", "cost": "BIGINT", "source": "VARCHAR",
}  # fmt: skip
ROWS = {
    "refinement_id": "BIGINT", "seed": "VARCHAR", "provider": "VARCHAR", "model": "VARCHAR",
    "prompt_version": "VARCHAR", "run_number": "INTEGER", "batch_id": "VARCHAR", "tags": "VARCHAR",
    "embed_text": "VARCHAR", "sentence": "VARCHAR", "created_at": "TIMESTAMP", **_SINCE_2,
}  # fmt: skip
"""Columns that come from the store; times are UTC, costs pico-dollars."""

MADE = {"words": "UINTEGER[]", "vector": "FLOAT[{}]"}
"""Columns that are made of `embed_text`: its words as numbers, and its vector of d numbers."""


class RefinedFile(msgspec.Struct, frozen=True):
    """Some refinements.

    Attributes:
        batches: the batches that have rows here.
        dead: those of them whose rows here were replaced by a later file, or are gone.
    """

    file: str
    rows: int
    batches: list[str]
    dead: list[str] = []

    @property
    def is_dead(self) -> bool:
        """Whether no row counts any more."""
        return len(self.dead) == len(self.batches)

    def without(self, batches: Collection[str]) -> "RefinedFile":
        """Return the file, with the rows of some batches dead."""
        gone = (batch for batch in self.batches if batch in batches)
        return replace(self, dead=sorted({*self.dead, *gone}))


class RefinedManifest(Generation, frozen=True):
    """One generation of the refined palettes.

    Attributes:
        embedding: the model that made the vectors.
        dimensions: of a vector; 0 as long as there is none.
        format: 1 has no tokens, costs and sources: its rows are read anew, its vectors kept.
    """

    embedding: str = ""
    dimensions: int = 0
    format: Literal[1, 2] = 2
    parts: list[RefinedFile] = msgspec.field(default_factory=list)

    @override
    def files(self) -> Iterator[str]:
        return (part.file for part in self.parts)


def read_refined(folder: Path) -> RefinedManifest | None:
    """Return the present generation, or None: nothing was published that this release can read.

    All of it can be made anew from the store, so nobody is asked to mend it.
    """
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=RefinedManifest)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return None


def refined_rows(folder: Path, manifest: RefinedManifest) -> str:
    """Return a query for every refinement that counts, in the order of the files."""
    if not manifest.parts:
        return nothing({**ROWS, **MADE, "vector": MADE["vector"].format(manifest.dimensions or 1)})
    new = _SINCE_2 if manifest.format == 1 else {}
    columns = [f"NULL::{new[name]} AS {name}" if name in new else name for name in (*ROWS, *MADE)]
    return " UNION ALL ".join(live_rows(folder, part, columns) for part in manifest.parts)


def live_rows(folder: Path, part: RefinedFile, columns: Iterable[str] = (*ROWS, *MADE)) -> str:
    """Return a query for the refinements of one file that count."""
    rows = f"FROM {scan(folder, [part.file])} SELECT {', '.join(columns)}"
    dead = ", ".join(map(quoted, part.dead))
    return f"{rows} WHERE batch_id NOT IN ({dead})" if dead else rows


def refined_view(folder: Path, manifest: RefinedManifest) -> str:
    """Return a query for the newest refinement of each palette."""
    return f"""FROM ({refined_rows(folder, manifest)})
SELECT * EXCLUDE words, {quoted(manifest.embedding)} AS embedding
QUALIFY row_number() OVER (PARTITION BY seed ORDER BY created_at DESC, refinement_id DESC) = 1"""
