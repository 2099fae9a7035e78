"""Turns rows of the site's tables into domain values."""

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson

from grabient_ops.importers.d1.literals import Guess, Value
from grabient_ops.importers.d1.source import Row
from grabient_ops.importers.first_system import (
    Outcome,
    judge,
    name_model,
    provider_of,
    read_known_seed,
    read_moment,
    read_run,
)
from grabient_ops.importers.values import (
    Doubtful,
    ImportedAnswer,
    ImportedPalette,
    Place,
    Record,
    RefinementParts,
    Refused,
)
from grabient_ops.tagging.embed_text import embed_text
from grabient_ops.tagging.usage import Usage

_TAG_COLUMNS = frozenset(
    {"seed", "provider", "model", "run_number", "tags", "error", "prompt_version"}
)
_REFINED_COLUMNS = frozenset(
    {
        "seed", "model", "prompt_version", "source_prompt_version", "input_summary",
        "refined_tags", "error",
    }
)  # fmt: skip


_LARGEST_NUMBER = 1 << 63


def read_palette(row: Row, likes: int) -> ImportedPalette | Refused:
    """Return a palette, by its seed, or by its id where that is the seed."""
    name = "seed" if "seed" in row.cells else "id"
    attributes = _rest(row, frozenset({name}))
    return palette_of(row.place, row.cells.get(name), {**attributes, "likes": likes})


def palette_of(place: Place, seed: Value, attributes: dict[str, Any]) -> ImportedPalette | Refused:
    """Return a palette by its seed alone."""
    palette = read_known_seed(seed) if isinstance(seed, str) else "It is no text."
    if isinstance(palette, str):
        return Refused(place, palette, as_text(seed) or "")
    return ImportedPalette(place, palette, attributes, read_moment(attributes.get("created_at")))


def read_tags(row: Row) -> Iterator[Record]:
    """Yield the answer that a row of `palette_tags` is, and its doubtful cells."""
    given, model = (as_text(row.cells.get(name)) or "" for name in ("provider", "model"))
    run_number = read_run(row.cells.get("run_number", 1))
    if not given:
        yield Refused(row.place, "It names no provider.")
    elif run_number is None:
        yield Refused(row.place, "Its run is no whole number from 1.", _shown(row, "run_number"))
    else:
        extra = _rest(row, _TAG_COLUMNS)
        names = name_model(given, model)
        if names != (given, model):
            extra |= {"provider": given, "model": model}
        stored = as_text(row.cells.get("tags"))
        yield from _answer(row, names, run_number, stored, extra, None)


def read_refinement(row: Row) -> Iterator[Record]:
    """Yield the refinement that a row of `palette_tag_refinements` is, and its doubtful cells."""
    model = as_text(row.cells.get("model")) or ""
    if not model:
        yield Refused(row.place, "It names no model.")
        return
    stored = as_text(row.cells.get("refined_tags"))
    source = as_text(row.cells.get("source_prompt_version"))
    shown = as_text(row.cells.get("input_summary")) or ""
    parts = RefinementParts([source] if source else [], shown, None)
    names = (provider_of(model), model)
    yield from _answer(row, names, 1, stored, _rest(row, _REFINED_COLUMNS), parts)


def _answer(
    row: Row,
    names: tuple[str, str],
    run_number: int,
    stored: str | None,
    extra: dict[str, Any],
    refinement: RefinementParts | None,
) -> Iterator[Record]:
    seed = row.cells.get("seed")
    palette = read_known_seed(seed) if isinstance(seed, str) else "It names no palette."
    if isinstance(palette, str):
        yield Refused(row.place, palette, as_text(seed) or "")
        return
    outcome = judge(stored, as_text(row.cells.get("error")))
    yield ImportedAnswer(
        place=row.place,
        source_id=_identify(row),
        digest=None,
        seed=palette.seed,
        provider=names[0],
        model=names[1],
        run_number=run_number,
        prompt_version=as_text(row.cells.get("prompt_version")),
        tags=outcome.tags,
        ambiguous=outcome.ambiguous,
        response=stored,
        error_class=outcome.error_class,
        error=outcome.error,
        usage=Usage(),
        created_at=read_moment(row.cells.get("created_at")),
        extra=extra,
        refinement=refinement and _with_text(refinement, outcome),
    )
    for column, cell in row.cells.items():
        if isinstance(cell, Guess):
            yield Doubtful(row.place, column)


def _with_text(parts: RefinementParts, outcome: Outcome) -> RefinementParts:
    """D1 kept no text for search of its own."""
    if outcome.tags is None:
        return parts
    return RefinementParts(parts.source_prompt_versions, parts.input, embed_text(outcome.tags))


def _identify(row: Row) -> str:
    """Return the same for the same row of a dump and of a SQLite file, and for no other row.

    A row that has changed since is another one: what was paid for before is kept.
    """
    cells = {name: _plain(cell) for name, cell in row.cells.items() if cell is not None}
    text = orjson.dumps([row.place.table, cells], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:32]


def _rest(row: Row, taken: frozenset[str]) -> dict[str, Any]:
    return {
        name: _plain(cell)
        for name, cell in row.cells.items()
        if name not in taken and cell is not None
    }


def _plain(cell: Value) -> str | int | float | None:
    """Return a cell as JSON knows it; a dump does not tell 1.0 from 1."""
    if type(cell) is str:
        return cell
    if isinstance(cell, int | float) and abs(cell) < _LARGEST_NUMBER:
        return int(cell) if cell == int(cell) else cell
    return as_text(cell)


def as_text(cell: Value) -> str | None:
    """Return a cell as text; bytes that are no text as hexadecimal digits."""
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            return cell.hex()
    return None if cell is None else str(cell)


def _shown(row: Row, column: str) -> str:
    return as_text(row.cells.get(column)) or ""
