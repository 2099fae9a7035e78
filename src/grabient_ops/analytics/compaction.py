"""Merges small files of a lake, so that their number grows with the logarithm of the refreshes.

Work is bounded: one merge per refresh, of no more rows than one segment may have.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from grabient_ops.analytics.manifest import (
    DictionaryFile,
    DictionaryName,
    Segment,
    count,
    from_ranges,
    to_ranges,
)
from grabient_ops.analytics.parquet import copy, scan
from grabient_ops.analytics.staging import FACTS_ORDER, RESPONSES_ORDER, ROWS_PER_SEGMENT
from grabient_ops.analytics.warehouse import live

FAN_IN = 8
"""So many files of one size class (1, 8, 64, ... rows) become one."""

_DICTIONARY_ROWS = 1_000_000


def choose(sizes: Sequence[int], most: int) -> list[int]:
    """Return the indices of the files to merge next, or nothing.

    Args:
        sizes: rows per file.
        most: rows that the merged file may have.
    """
    classes: dict[int, list[int]] = defaultdict(list)
    for index, size in enumerate(sizes):
        classes[(size.bit_length() - 1) // 3].append(index)
    for _, members in sorted(classes.items()):
        fitting, total = [], 0
        for index in sorted(members, key=lambda member: sizes[member]):
            total += sizes[index]
            if total <= most:
                fitting.append(index)
        if len(members) >= FAN_IN and len(fitting) > 1:
            return fitting
    return []


def compact_segments(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    segments: Sequence[Segment],
    tallied: Collection[str],
    token: str,
) -> list[Segment]:
    """Return the segments after one merge, or as they are.

    Segments with facts in `tallied` stay as they are, unless they are more dead than alive.
    """
    free = [segment for segment in segments if segment.facts not in tallied]
    chosen = [free[index] for index in choose([s.rows for s in free], ROWS_PER_SEGMENT)]
    chosen = chosen or [s for s in segments if 2 * len(s.dead) > count(s.batches)][:1]
    if not chosen:
        return list(segments)
    merged = _merge(connection, lake, chosen, token)
    return [*(segment for segment in segments if segment not in chosen), merged]


def _merge(
    connection: duckdb.DuckDBPyConnection, lake: Path, segments: Sequence[Segment], token: str
) -> Segment:
    def write(table: str, order: str) -> int:
        rows = " UNION ALL ".join(f"FROM {live(lake, segment, table)}" for segment in segments)
        query = f"FROM ({rows}) ORDER BY {order}"
        return copy(connection, query, lake / f"{table}-m-{token}.parquet")

    write("facts", FACTS_ORDER)
    batches = {
        number
        for segment in segments
        for number in set(from_ranges(segment.batches)).difference(segment.dead)
    }
    return Segment(
        f"responses-m-{token}.parquet",
        f"facts-m-{token}.parquet",
        write("responses", RESPONSES_ORDER),
        to_ranges(batches),
    )


def compact_dictionary(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    name: DictionaryName,
    parts: Sequence[DictionaryFile],
    token: str,
) -> list[DictionaryFile]:
    """Return the files of a dictionary after one merge, or as they are."""
    chosen = choose([part.rows for part in parts], _DICTIONARY_ROWS)
    if not chosen:
        return list(parts)
    file = f"{name}-m-{token}.parquet"
    source = scan(lake, [parts[index].file for index in chosen])
    rows = copy(connection, f"FROM {source} ORDER BY ALL", lake / file)
    kept = [part for index, part in enumerate(parts) if index not in chosen]
    return [*kept, DictionaryFile(file, rows)]
