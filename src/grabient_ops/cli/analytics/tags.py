"""`grabient-ops analytics`: what is said about palettes."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.analytics.looks import bar, draw, label, percent
from grabient_ops.cli.analytics.options import (
    Category,
    Engine,
    Models,
    Plot,
    Prompts,
    Runs,
    Sources,
    selection,
)
from grabient_ops.cli.common import MOST, Json, print_json, print_line, print_table
from grabient_ops.cli.fresh import EngineName, fresh_warehouse
from grabient_ops.cli.legible import legible

if TYPE_CHECKING:
    from grabient_ops.analytics.questions.asking import Selection
    from grabient_ops.analytics.questions.consensus import Consensus, PaletteTag
    from grabient_ops.analytics.questions.versions import TagDifference, Version, VersionTag

_LINES = 30
_CERTAIN = 0.05
Limit = Annotated[
    int | None, typer.Option(min=1, max=MOST, help="How many; default: 30, with --json all.")
]


def consensus(
    seed: Annotated[str | None, typer.Argument(help="Seed of the palette.")] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All palettes, to --out or as --json.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write to this .parquet or .csv file.")] = None,
    category: Category = None,
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    min_share: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out tags that fewer answers gave.")
    ] = 0.0,
    engine: Engine = "duckdb",
    as_json: Json = False,
) -> None:
    """Show what the answers about a palette have in common: each tag with its votes."""
    from grabient_ops.analytics.questions.consensus import consensus as ask

    if all_ == (seed is not None):
        raise typer.BadParameter("give either a seed or --all", param_hint="SEED")
    chosen = selection(prompt, model, run, source)
    if seed is None:
        if category is not None:
            raise typer.BadParameter("--all has all categories", param_hint="--category")
        if out is not None and engine == "spark":
            raise typer.BadParameter("it is written by DuckDB; use --json", param_hint="--out")
        _all(chosen, out, min_share, engine, as_json=as_json)
        return
    if out is not None:
        raise typer.BadParameter("it belongs to --all", param_hint="--out")
    with fresh_warehouse(engine=engine) as warehouse:
        found = ask(warehouse, seed, chosen, category=category, min_share=min_share)
    if as_json:
        tags = [{**tag._asdict(), "strength": tag.strength} for tag in found.tags]
        print_json({**found._asdict(), "tags": tags})
    else:
        _print_consensus(found)


def _all(
    chosen: "Selection", out: Path | None, min_share: float, engine: EngineName, *, as_json: bool
) -> None:
    from grabient_ops.analytics.questions.consensus import all_consensus, write_consensus

    if out is not None:
        with fresh_warehouse() as warehouse:
            rows = write_consensus(warehouse, out, chosen, min_share=min_share)
        if as_json:
            print_json({"rows": rows, "file": str(out)})
        else:
            print_line(f"{rows:,} rows written to {out}")
    elif as_json:
        with fresh_warehouse(engine=engine) as warehouse:
            _stream(all_consensus(warehouse, chosen, min_share=min_share))
    else:
        raise typer.BadParameter("it needs --out or --json", param_hint="--all")


def _stream(tags: "Iterable[PaletteTag]") -> None:
    """Print one JSON array, a line for each row, however many there are."""
    before = "[\n"
    for tag in tags:
        row = json.dumps({**tag._asdict(), "strength": tag.strength}, ensure_ascii=False)
        sys.stdout.write(before + row)
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _print_consensus(found: "Consensus") -> None:
    from grabient_ops.tagging.vocabulary import FIELDS

    print_line(f"{legible(found.seed, 200)}: {found.responses:,} answers by {found.models} models")
    rows = [
        (tag.category, label(tag.tag), tag.votes, tag.models, percent(tag.share), tag.strength,
         bar(tag.share))
        for tag in sorted(found.tags, key=lambda tag: FIELDS.index(tag.category))
    ]  # fmt: skip
    print_table(["category", "tag", "#votes", "#models", "#share", "strength", ""], rows)


def top_tags(
    category: Category = None,
    per_category: Annotated[bool, typer.Option(help="Rank within each category.")] = False,
    limit: Limit = None,
    prompt: Prompts = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    plot: Plot = None,
    engine: Engine = "duckdb",
    as_json: Json = False,
) -> None:
    """List the tags that were given most often."""
    from grabient_ops.analytics.questions.tags import top_tags as ask

    with fresh_warehouse(engine=engine) as warehouse:
        rows = ask(
            warehouse, selection(prompt, model, run, source),
            category=category, limit=_limit(limit, as_json), per_category=per_category,
        )  # fmt: skip
    if plot is not None:
        from grabient_ops.analytics.plots import plot_top_tags

        draw(plot_top_tags(rows), plot)
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    cells = [
        (row.place, label(row.tag), row.category, f"{row.votes:,}", f"{row.palettes:,}",
         row.models, percent(row.share), bar(row.share))
        for row in rows
    ]  # fmt: skip
    columns = ["#place", "tag", "category", "#votes", "#palettes", "#models", "#share", ""]
    print_table(columns, cells)


def _limit(limit: int | None, as_json: bool) -> int | None:
    return _LINES if limit is None and not as_json else limit


def versions(
    old: Annotated[str | None, typer.Argument(help="A prompt version or its beginning.")] = None,
    new: Annotated[str | None, typer.Argument(help="Another one, to compare it with.")] = None,
    category: Category = None,
    min_votes: Annotated[
        int, typer.Option(min=1, max=MOST, help="Compare tags with at least so many votes.")
    ] = 5,
    limit: Limit = None,
    model: Models = None,
    run: Runs = None,
    source: Sources = None,
    engine: Engine = "duckdb",
    as_json: Json = False,
) -> None:
    """Show tags by prompt version, or how two versions differ and how sure that is."""
    from grabient_ops.analytics.questions import versions as questions

    chosen = selection(None, model, run, source)
    most = _limit(limit, as_json)
    if old is None:
        with fresh_warehouse(engine=engine) as warehouse:
            found = questions.versions(warehouse, chosen)
            tags = questions.tags_by_version(warehouse, chosen, category=category, limit=most)
        _print_versions(found, tags, as_json=as_json)
        return
    if new is None:
        raise typer.BadParameter("a second version to compare with is missing", param_hint="NEW")
    with fresh_warehouse(engine=engine) as warehouse:
        rows = questions.version_difference(warehouse, old, new, chosen, min_votes=min_votes)
    rows = [row for row in rows if category in {None, row.category}][:most]
    if as_json:
        print_json([row._asdict() for row in rows])
    else:
        _print_difference(rows)


def _print_versions(found: "list[Version]", tags: "list[VersionTag]", *, as_json: bool) -> None:
    if as_json:
        print_json({
            "versions": [row._asdict() for row in found], "tags": [row._asdict() for row in tags],
        })  # fmt: skip
        return
    columns = ["prompt", "#responses", "#answered", "#palettes", "#models", "#runs",
               "#tags per answer", "#different tags"]  # fmt: skip
    print_table(columns, [
        (label(row.prompt_version), *row[1:6], f"{row.tags_per_answer or 0:.1f}",
         f"{row.distinct_tags:,}")
        for row in found
    ])  # fmt: skip
    shares: dict[tuple[str, str], list[str]] = {}
    for tag in tags:
        shares.setdefault((tag.category, tag.tag), []).append(percent(tag.share))
    names = [f"#{label(name)}" for name in dict.fromkeys(tag.prompt_version for tag in tags)]
    cells = [(category, label(tag), *row) for (category, tag), row in shares.items()]
    print_table(["category", "tag", *names], cells)


def _print_difference(rows: "list[TagDifference]") -> None:
    cells = [
        (row.category, label(row.tag), percent(row.old_share), percent(row.new_share),
         f"{row.difference:+.1%}", f"{row.z:+.1f}", f"{row.p_value:.2g}", f"{row.q_value:.2g}",
         "sure" if row.q_value <= _CERTAIN else "")
        for row in rows
    ]  # fmt: skip
    columns = ["category", "tag", "#old", "#new", "#difference", "#z", "#p", "#q", ""]
    print_table(columns, cells)
