"""What the answers to a palette have in common: each tag with its votes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from grabient_ops.analytics.questions.asking import (
    EVERYTHING,
    Selection,
    ask,
    check_category,
    chosen,
    ranges,
    sql_of,
)
from grabient_ops.errors import InputError
from grabient_ops.tagging.vocabulary import FIELDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse

Strength: TypeAlias = Literal["strong", "moderate", "weak"]
STRONG, MODERATE = 0.7, 0.5
_ROWS_AT_ONCE = 10_000
_FORMATS = {".parquet": "FORMAT parquet, COMPRESSION zstd", ".csv": "FORMAT csv, HEADER"}
_IN_ORDER = "ORDER BY seed, category, votes DESC, tag"
_ALL = (0, 2**31 - 1)
_MOST_LISTED = 20_000  # every row group of a file holds all members of an ENUM

_PARTS = "FROM read_parquet(getvariable('parts'))"
_TALLIED = sql_of("consensus_tallied")


def strength(share: float) -> Strength:
    """Name how many agree: strong from 70 %, moderate from 50 %, else weak."""
    if share >= STRONG:
        return "strong"
    return "moderate" if share >= MODERATE else "weak"


class ConsensusTag(NamedTuple):
    """One tag of a palette.

    Attributes:
        votes: answers that gave it, each counted once however often it repeats itself.
        responses: all answers of the palette that could be read.
        models: different models that gave it at least once.
        share: votes / responses, above 0 to 1.
    """

    category: str
    tag: str
    votes: int
    responses: int
    models: int
    share: float

    @property
    def strength(self) -> Strength:
        """Strong, moderate or weak."""
        return strength(self.share)


class PaletteTag(NamedTuple):
    """One tag of one of many palettes; otherwise as `ConsensusTag`."""

    seed: str
    category: str
    tag: str
    votes: int
    responses: int
    models: int
    share: float

    @property
    def strength(self) -> Strength:
        """Strong, moderate or weak."""
        return strength(self.share)


class Consensus(NamedTuple):
    """What was said about one palette.

    Attributes:
        responses: its answers that could be read, among the chosen ones; failed ones are not here.
        models: different models among them.
        tags: by category, in each the most frequent first.
    """

    seed: str
    responses: int
    models: int
    tags: list[ConsensusTag]


def consensus(
    warehouse: "Warehouse",
    seed: str,
    selection: Selection = EVERYTHING,
    *,
    category: str | None = None,
    min_share: float = 0.0,
) -> Consensus:
    """Count the tags of one palette.

    Raises:
        InputError: no model was ever asked about this seed, or a name is unknown.
    """
    check_category(category)
    with chosen(warehouse, selection) as cursor:
        palette = _palette_id(cursor, seed)
        tags = ask(cursor, "consensus", ConsensusTag, palette=palette, min_share=min_share)
        query = (
            "SELECT count(*), count(DISTINCT model_id) FROM chosen_responses"
            " WHERE ok AND palette_id = $palette"
        )
        responses, models = cursor.execute(query, {"palette": palette}).fetchall()[0]
    kept = [tag for tag in tags if category in {None, tag.category}]
    return Consensus(seed, responses, models, kept)


def _palette_id(cursor: "DuckDBPyConnection", seed: str) -> int:
    query = "SELECT palette_id FROM palettes WHERE seed = $seed"
    # Bytes of a command line that are no UTF-8 arrive as surrogates, which no database can hold.
    is_text = not any("\ud800" <= character <= "\udfff" for character in seed)
    found = cursor.execute(query, {"seed": seed}).fetchall() if is_text else []
    if not found:
        shown = seed if len(seed) <= 60 else f"{seed[:60]}..."
        raise InputError(f"no model has answered about the seed {shown!r}")
    palette: int = found[0][0]
    return palette


def all_consensus(
    warehouse: "Warehouse", selection: Selection = EVERYTHING, *, min_share: float = 0.0
) -> Iterator[PaletteTag]:
    """Count the tags of all palettes; those of a palette stand together, the most frequent first.

    Streams: a range of palettes is held at a time.
    """
    is_tallied = _is_tallied(warehouse, selection)
    counted = sql_of("consensus_counted")
    query = _named(f"({counted}) UNION ALL {_TALLIED}" if is_tallied else counted)
    with chosen(warehouse, selection, only_moving=is_tallied) as cursor:
        for first, last in ranges(cursor):
            cursor.execute(f"{query} {_IN_ORDER}", _bounds(first, last, min_share))
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from map(PaletteTag._make, rows)


def _is_tallied(warehouse: "Warehouse", selection: Selection) -> bool:
    """Only the consensus of all answers is counted in advance."""
    return warehouse.tallied and not any(selection)


def _named(counted: str) -> str:
    """Return the query that puts texts to what was counted by ids."""
    return f"WITH counted AS ({counted}) {sql_of('consensus_all')}"


def _bounds(first: int, last: int, min_share: float) -> dict[str, object]:
    return {"first": first, "last": last, "min_share": min_share, "fields": FIELDS}


def write_consensus(
    warehouse: "Warehouse",
    path: Path,
    selection: Selection = EVERYTHING,
    *,
    min_share: float = 0.0,
) -> int:
    """Write the tags of all palettes to a `.parquet` or `.csv` file; columns as in `PaletteTag`.

    The rows are in no order, for sorting would take as long as counting. Ranges of palettes that
    are to be counted go to files of their own first, as ids, so that memory stays flat; these, and
    what was counted in advance, are then joined with their texts.

    Returns:
        The number of rows.

    Raises:
        InputError: the name ends otherwise, or the folder cannot be written.
    """
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"{path.name!r} should end in .parquet or .csv")
    from duckdb import IOException

    try:
        with (
            TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}.") as parts,
            chosen(warehouse, selection, only_moving=_is_tallied(warehouse, selection)) as cursor,
        ):
            if _is_tallied(warehouse, selection):
                _count_parts(cursor, Path(parts), min_share, "moving")
                counted = f"{_PARTS} UNION ALL {_TALLIED}"
                return _write_named(cursor, counted, path, _bounds(*_ALL, min_share))
            _count_parts(cursor, Path(parts), min_share, "palettes")
            return _write_named(cursor, _PARTS, path, {"fields": FIELDS})
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    except IOException as error:
        raise InputError(f"{path} cannot be written: {error}") from error


def _count_parts(
    cursor: "DuckDBPyConnection", folder: Path, min_share: float, palettes: str
) -> None:
    for number, (first, last) in enumerate(ranges(cursor, palettes) or [(0, -1)]):
        part = folder / f"{number:06}.parquet"
        _copy(cursor, sql_of("consensus_counted"), part, _bounds(first, last, min_share))
    cursor.execute("SET VARIABLE parts = $parts", {"parts": sorted(map(str, folder.iterdir()))})


def _write_named(
    cursor: "DuckDBPyConnection", counted: str, path: Path, parameters: Mapping[str, object]
) -> int:
    """Put texts to what was counted; members of an ENUM are not hashed once more for each row."""
    cursor.execute(f"CREATE TEMP TYPE field_name AS ENUM {FIELDS}")
    [(tags,)] = cursor.execute("SELECT count(*) FROM tags").fetchall()
    if 0 < tags <= _MOST_LISTED:
        cursor.execute("CREATE TEMP TYPE tag_name AS ENUM (SELECT tag FROM tags)")
        listed = "FROM memory.tags SELECT tag_id, CAST(tag AS tag_name) AS tag"
        cursor.execute(f"CREATE TEMP TABLE tags AS {listed}")
    query = f"FROM ({_named(counted)}) SELECT * REPLACE (CAST(category AS field_name) AS category)"
    return _copy(cursor, query, path, parameters)


def _copy(
    cursor: "DuckDBPyConnection", query: str, path: Path, parameters: Mapping[str, object]
) -> int:
    """Write rows as they come: a relation with parameters would hold them all first."""
    target = str(path).replace("'", "''")
    options = _FORMATS[path.suffix.lower()]
    written = cursor.execute(f"COPY ({query}) TO '{target}' ({options})", parameters)
    [(rows,)] = written.fetchall()
    return int(rows)
