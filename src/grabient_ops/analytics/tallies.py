"""Counts the consensus of all palettes in advance, so that asking for it need not count.

A tally is the answer to `consensus_counted` over the segments of some moment, one file per range of
palettes. It stays of use while the lake grows: only palettes of which something was heard since are
counted from their facts. When these become many, another tally is made, one range per refresh.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from grabient_ops.analytics.manifest import Manifest, Ranges, Segment, Tally
from grabient_ops.analytics.parquet import copy
from grabient_ops.analytics.questions.asking import EVERYTHING, chosen, sql_of
from grabient_ops.analytics.staging import ROWS_PER_SEGMENT
from grabient_ops.analytics.warehouse import open_generation
from grabient_ops.tagging.vocabulary import FIELDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SETTLED = ROWS_PER_SEGMENT // 4
"""Answers from which a segment is worth counting in advance; from then on it is not merged."""

_OUTDATED = 4
"""Another tally is begun when what the last one does not know is a fourth of what it knows."""

_TALLY = f"FROM ({sql_of('consensus_counted')}) ORDER BY palette_id, field, tag_id"


def count_all(lake: Path, manifest: Manifest, token: str) -> Manifest:
    """Return a generation all of whose segments are in one tally, if they are worth one."""
    if not _settled(manifest.segments):
        return manifest
    manifest = replace(manifest, tallies=[_begin(lake, manifest, manifest.segments)])
    while is_due(manifest):
        manifest = count_some(lake, manifest, token)
    return manifest


def count_some(lake: Path, manifest: Manifest, token: str) -> Manifest:
    """Return a generation with one more range of palettes, if one is due.

    That is the work of about one segment, however big the lake is.
    """
    tallies = manifest.useful_tallies
    if _is_outdated(manifest.segments, tallies):
        tallies.append(_begin(lake, manifest, _settled(manifest.segments)))
    if tallies and not tallies[-1].is_complete:
        begun = _with_next_range(lake, manifest, tallies.pop(), token)
        tallies = [begun] if begun.is_complete else [*tallies, begun]
    return replace(manifest, tallies=tallies)


def is_due(manifest: Manifest) -> bool:
    """Return whether `count_some` would do something."""
    tallies = manifest.useful_tallies
    is_begun = bool(tallies) and not tallies[-1].is_complete
    return is_begun or _is_outdated(manifest.segments, tallies)


def _settled(segments: Sequence[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.rows >= _SETTLED]


def _is_outdated(segments: Sequence[Segment], tallies: Sequence[Tally]) -> bool:
    """Compare what the newest tally knows with what another one would know besides."""
    knows = tallies[-1].segments if tallies else {}
    known = sum(s.rows for s in segments if knows.get(s.facts) == s.dead)
    unknown = sum(s.rows for s in _settled(segments) if knows.get(s.facts) != s.dead)
    return unknown > 0 and _OUTDATED * unknown >= known


def _begin(lake: Path, manifest: Manifest, segments: Sequence[Segment]) -> Tally:
    return Tally(
        {segment.facts: segment.dead for segment in segments},
        _ranges(lake, replace(manifest, segments=segments)),
    )


def _ranges(lake: Path, manifest: Manifest) -> Ranges:
    """Cut the palettes into ranges of about as many answers as one segment may have."""
    parts = -(-sum(segment.rows for segment in manifest.segments) // ROWS_PER_SEGMENT)
    cuts = [part / parts for part in range(1, parts + 1)]
    with open_generation(lake, manifest) as warehouse:
        query = "SELECT unnest(quantile_disc(palette_id, $cuts)) FROM responses"
        lasts = warehouse.connection.execute(query, {"cuts": cuts}).fetchall()
    ends = sorted({last for (last,) in lasts})
    return [(before + 1, last) for before, last in zip([-1, *ends], ends, strict=False)]


def _with_next_range(lake: Path, manifest: Manifest, tally: Tally, token: str) -> Tally:
    """Count the next range. What died since the tally was begun moves, so it may be missing."""
    file = f"tally-{len(tally.files)}-{token}.parquet"
    segments = [segment for segment in manifest.segments if segment.facts in tally.segments]
    known = replace(manifest, segments=segments, tallies=[])
    with open_generation(lake, known) as warehouse, chosen(warehouse, EVERYTHING) as cursor:
        _write_range(cursor, *tally.ranges[len(tally.files)], lake / file)
    return replace(tally, files=[*tally.files, file])


def _write_range(cursor: "DuckDBPyConnection", first: int, last: int, path: Path) -> None:
    bounds = {"first": first, "last": last, "min_share": 0.0, "fields": FIELDS}
    copy(cursor, _TALLY, path, bounds)
