"""Palettes: which there are, what they look like, and what was said about them."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Query

from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.consensus import Consensus, consensus
from grabient_ops.palettes.describe import Looks, describe
from grabient_ops.store.answers import (
    StoredAnswer,
    StoredRefinement,
    list_answers,
    newest_refinement,
)
from grabient_ops.store.palettes import StoredPalette, count_palettes, get_palette, list_palettes
from grabient_ops.tagging.kinds import Kind
from grabient_ops.web.api.route import ApiRoute, NotThereError, looking_up, problems
from grabient_ops.web.api.warehouse import OpenWarehouse
from grabient_ops.web.api.words import After, Category, Limit, Seed, Text, selection
from grabient_ops.web.parts import Parts

router = APIRouter(prefix="/palettes", tags=["palettes"], route_class=ApiRoute)


class PalettePage(NamedTuple):
    """Palettes in the order of their seeds; `next` is the `after` of those to come."""

    items: Sequence[StoredPalette]
    next: str | None
    total: int


class Palette(NamedTuple):
    """One palette: as it is stored, what its colours say, and its newest refinement."""

    stored: StoredPalette
    coeffs: Sequence[Sequence[float]]
    globals: Sequence[float]
    looks: Looks
    refined: StoredRefinement | None


class AnswerPage(NamedTuple):
    """Answers in the order of their ids; `next` is the `after` of those to come."""

    items: Sequence[StoredAnswer]
    next: int | None


@router.get("")
def list_palettes_by_seed(
    web: Parts,
    after: Annotated[Text, Query(description="Begin after this seed.")] = "",
    limit: Limit = 100,
) -> PalettePage:
    """List palettes in the order of their seeds."""
    with web.app.store.read() as connection:
        found = list_palettes(connection, limit, after)
        total = count_palettes(connection)
    return PalettePage(found, found[-1].seed if len(found) == limit else None, total)


@router.get("/{seed}", responses=problems(404))
def show_palette(web: Parts, seed: Seed) -> Palette:
    """Show a stored palette: its colours, what is computed from them, and its refined tags."""
    with web.app.store.read() as connection:
        stored = get_palette(connection, seed)
        refined = newest_refinement(connection, seed)
    (described,) = describe([seed])
    if stored is None or described.palette is None or described.looks is None:
        raise NotThereError(f"no palette {seed!r} is stored")
    palette = described.palette
    return Palette(stored, palette.coeffs, palette.globals, described.looks, refined)


@router.get("/{seed}/answers", responses=problems(404))
def list_answers_about_palette(
    web: Parts, seed: Seed, kind: Kind = "tagging", after: After = 0, limit: Limit = 100
) -> AnswerPage:
    """List every answer and failure about a palette, raw texts included."""
    with web.app.store.read() as connection:
        if get_palette(connection, seed) is None:
            raise NotThereError(f"no palette {seed!r} is stored")
        found = list_answers(connection, seed, kind, after=after, limit=limit)
    return AnswerPage(found, found[-1].id if len(found) == limit else None)


@router.get("/{seed}/consensus", responses=problems(404, 409))
def show_consensus(
    warehouse: OpenWarehouse,
    seed: Seed,
    chosen: Annotated[Selection, Depends(selection)],
    category: Category | None = None,
    min_share: Annotated[float, Query(ge=0, le=1, description="Leave rarer tags out.")] = 0.0,
) -> Consensus:
    """Show what the answers about a palette have in common: each tag with its votes."""
    with looking_up():
        return consensus(warehouse, seed, chosen, category=category, min_share=min_share)
