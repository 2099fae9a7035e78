"""Consensus and top tags by other engines, each as its manual would have it, over a lake's files.

They are imported by name, for only `make bench` installs them.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.cost import Cost, Meter
from grabient_ops.analytics.manifest import read_manifest
from grabient_ops.tagging.vocabulary import FIELDS

TOP = 100
Top = list[tuple[str, str, int, int, int]]
"""Category, tag, votes, palettes and models; the most votes first."""

Files = Mapping[str, list[str]]
_GROUP = ["palette_id", "category", "tag_id"]
_RESULT = ["seed", "category", "tag", "votes", "responses", "models", "share"]


def files_of(lake: Path) -> Files:
    """Return the paths of a lake's Parquet files by table."""
    manifest = read_manifest(lake)
    if manifest is None:
        raise FileNotFoundError(lake)
    tables: dict[str, list[str]] = {
        "facts": [segment.facts for segment in manifest.segments],
        "responses": [segment.responses for segment in manifest.segments],
        "tallies": manifest.tally.files if manifest.tally else [],
    }
    for name, parts in manifest.dictionaries.items():
        tables[name] = [part.file for part in parts]
    return {name: [str(lake / file) for file in some] for name, some in tables.items()}


def consensus(engine: str, lake: Path, target: Path) -> Cost:
    """Measure how an engine writes the consensus of all palettes to a Parquet file."""
    return _measured(engine, _CONSENSUS[engine], files_of(lake), target)


def consensus_on_tallies(lake: Path, target: Path) -> Cost:
    """Measure the same of polars, when it is given what was counted in advance."""
    return _measured("polars", _polars_on_tallies, files_of(lake), target)


def _measured(engine: str, work: Callable[[Files, Path], None], files: Files, target: Path) -> Cost:
    import_module(engine)
    meter = Meter()
    with meter.running():
        work(files, target)
    return meter.read()


def top_tags(engine: str, lake: Path) -> tuple[Cost, Top]:
    """Measure how an engine ranks the tags of all answers."""
    import_module(engine)
    files = files_of(lake)
    meter = Meter()
    with meter.running():
        top = _TOP_TAGS[engine](files)
    return meter.read(), top


def _polars_consensus(files: Files, target: Path) -> None:
    pl: Any = import_module("polars")
    answered = (
        pl.scan_parquet(files["responses"])
        .filter("ok")
        .group_by("palette_id")
        .agg(pl.len().alias("responses"))
    )
    counted = (
        pl.scan_parquet(files["facts"])
        .group_by(_GROUP)
        .agg(pl.len().alias("votes"), pl.col("model_id").n_unique().alias("models"))
        .join(answered, on="palette_id")
        .join(pl.scan_parquet(files["palettes"]), on="palette_id")
        .join(pl.scan_parquet(files["tags"]), on="tag_id")
        .with_columns((pl.col("votes") / pl.col("responses")).alias("share"))
        .select(_RESULT)
    )
    counted.sink_parquet(target, engine="streaming")


def _polars_on_tallies(files: Files, target: Path) -> None:
    """Put texts to what our sync has counted: what is left to do when a lake is just synced."""
    pl: Any = import_module("polars")
    fields = pl.LazyFrame({"field": range(1, len(FIELDS) + 1), "category": FIELDS})
    named = (
        pl.scan_parquet(files["tallies"])
        .join(fields.with_columns(pl.col("field").cast(pl.Int32)), on="field")
        .join(pl.scan_parquet(files["palettes"]), on="palette_id")
        .join(pl.scan_parquet(files["tags"]), on="tag_id")
        .with_columns((pl.col("votes") / pl.col("responses")).alias("share"))
        .select(_RESULT)
    )
    named.sink_parquet(target, engine="streaming")


def _polars_top_tags(files: Files) -> Top:
    pl: Any = import_module("polars")
    ranked = (
        pl.scan_parquet(files["facts"])
        .group_by("category", "tag_id")
        .agg(
            pl.len().alias("votes"),
            pl.col("palette_id").n_unique().alias("palettes"),
            pl.col("model_id").n_unique().alias("models"),
        )
        .join(pl.scan_parquet(files["tags"]), on="tag_id")
        .sort(["votes", "category", "tag"], descending=[True, False, False])
        .head(TOP)
        .select("category", "tag", "votes", "palettes", "models")
    )
    rows: Top = ranked.collect(engine="streaming").rows()
    return rows


def _pandas_consensus(files: Files, target: Path) -> None:
    facts = _read(files["facts"], [*_GROUP, "model_id"])
    responses = _read(files["responses"], ["palette_id", "ok"])
    answered = responses[responses["ok"]].groupby("palette_id").size().rename("responses")
    counted = (
        facts.groupby(_GROUP, sort=False, observed=True)
        .agg(votes=("model_id", "size"), models=("model_id", "nunique"))
        .reset_index()
        .join(answered, on="palette_id")
        .merge(_read(files["palettes"], ["palette_id", "seed"]), on="palette_id")
        .merge(_read(files["tags"], ["tag_id", "tag"]), on="tag_id")
    )
    counted["share"] = counted["votes"] / counted["responses"]
    counted[_RESULT].to_parquet(target, index=False)


def _pandas_top_tags(files: Files) -> Top:
    facts = _read(files["facts"], [*_GROUP, "model_id"])
    ranked = (
        facts.groupby(["category", "tag_id"], sort=False, observed=True)
        .agg(
            votes=("model_id", "size"),
            palettes=("palette_id", "nunique"),
            models=("model_id", "nunique"),
        )
        .reset_index()
        .merge(_read(files["tags"], ["tag_id", "tag"]), on="tag_id")
        .astype({"category": "str"})
        .sort_values(["votes", "category", "tag"], ascending=[False, True, True])
        .head(TOP)
    )
    columns = ["category", "tag", "votes", "palettes", "models"]
    return [tuple(row) for row in ranked[columns].itertuples(index=False)]


def _read(paths: list[str], columns: list[str]) -> Any:
    pandas: Any = import_module("pandas")
    frame = pandas.concat([pandas.read_parquet(path, columns=columns) for path in paths])
    return frame.astype({"category": "category"}) if "category" in columns else frame


def _chdb_consensus(files: Files, target: Path) -> None:
    _chdb(f"""
        WITH answered AS (
          SELECT palette_id, count() AS responses FROM {_scan(files["responses"])}
          WHERE ok GROUP BY palette_id
        ),
        counted AS (
          SELECT palette_id, category, tag_id, count() AS votes, uniqExact(model_id) AS models
          FROM {_scan(files["facts"])} GROUP BY palette_id, category, tag_id
        )
        SELECT seed, category, tag, votes, responses, models, votes / responses AS share
        FROM counted
        JOIN answered USING (palette_id)
        JOIN {_scan(files["palettes"])} AS palettes USING (palette_id)
        JOIN {_scan(files["tags"])} AS tags USING (tag_id)
        INTO OUTFILE '{target}' TRUNCATE FORMAT Parquet""")  # noqa: S608 - paths of ours


def _chdb_top_tags(files: Files) -> Top:
    lines = _chdb(f"""
        SELECT category, tag, count() AS votes, uniqExact(palette_id) AS palettes,
               uniqExact(model_id) AS models
        FROM {_scan(files["facts"])} AS facts
        JOIN {_scan(files["tags"])} AS tags USING (tag_id)
        GROUP BY category, tag
        ORDER BY votes DESC, category, tag LIMIT {TOP}
        FORMAT JSONCompactEachRow
        SETTINGS output_format_json_quote_64bit_integers = 0""")  # noqa: S608 - paths of ours
    orjson: Any = import_module("orjson")
    return [tuple(orjson.loads(line)) for line in lines.splitlines()]


def _chdb(query: str) -> str:
    answer = import_module("chdb").query(query, "Null")
    return str(answer)


def _scan(paths: list[str]) -> str:
    """One path, or several as the alternatives of a pattern."""
    folder = Path(paths[0]).parent
    names = ",".join(Path(path).name for path in paths)
    return f"file('{folder}/{{{names}}}', Parquet)" if len(paths) > 1 else f"file('{paths[0]}')"


_CONSENSUS: Mapping[str, Callable[[Files, Path], None]] = {
    "polars": _polars_consensus,
    "pandas": _pandas_consensus,
    "chdb": _chdb_consensus,
}
_TOP_TAGS: Mapping[str, Callable[[Files], Top]] = {
    "polars": _polars_top_tags,
    "pandas": _pandas_top_tags,
    "chdb": _chdb_top_tags,
}
ENGINES = tuple(_CONSENSUS)
