"""Pages of palettes for people who look around: which there are, and how far each one is."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import palette_tag_refined, palette_tags, palettes

_SYSTEMS = ("d1", "convex")

State: TypeAlias = Literal["untagged", "failed", "tagged", "refined"]
"""How far a palette is, under whatever prompts: there is nothing yet, or only failures, or answers,
or a refinement. Each palette is in exactly one."""


class PaletteCard(NamedTuple):
    """A palette at a glance.

    Attributes:
        answers: tagging answers that could be read.
        failures: tagging attempts that failed.
        is_refined: whether it has a refinement.
    """

    seed: str
    answers: int
    failures: int
    is_refined: bool

    @property
    def state(self) -> State:
        """How far it is."""
        if self.is_refined:
            return "refined"
        if self.answers:
            return "tagged"
        return "failed" if self.failures else "untagged"


class PalettePage(NamedTuple):
    """Some palettes in the order of their seeds.

    Attributes:
        has_before, has_after: whether there are others on either side.
    """

    cards: list[PaletteCard]
    has_before: bool
    has_after: bool


def browse_palettes(
    connection: Connection,
    limit: int,
    *,
    text: str = "",
    state: State | None = None,
    source: str = "",
    after: str = "",
    before: str = "",
) -> PalettePage:
    """Return a page of palettes.

    Args:
        connection: a snapshot.
        limit: how many at most.
        text: part of the seed, case aside.
        state: only palettes that are so far.
        source: only what came from there counts; without a state, only palettes of which anything
            did.
        after: only seeds after this one.
        before: only seeds before this one, and of these the last; `after` is not looked at then.
    """
    seed = palettes.c.seed
    query = sa.select(seed).where(*_conditions(text, state, source)).limit(limit + 1)
    if before:
        found = _seeds(connection, query.where(seed < before).order_by(seed.desc()))
        shown, is_cut = found[:limit][::-1], len(found) > limit
        return PalettePage(cards_of(connection, shown, source), has_before=is_cut, has_after=True)
    found = _seeds(connection, query.where(seed > after).order_by(seed))
    cards = cards_of(connection, found[:limit], source)
    return PalettePage(cards, has_before=bool(after), has_after=len(found) > limit)


def cards_of(connection: Connection, seeds: Sequence[str], source: str = "") -> list[PaletteCard]:
    """Return those of a few palettes that are stored, in the order given.

    Args:
        connection: a snapshot.
        seeds: of the palettes.
        source: count only what came from there.
    """
    known = set(_seeds(connection, sa.select(palettes.c.seed).where(palettes.c.seed.in_(seeds))))
    has_failed = palette_tags.c.error_class.is_not(None)
    counts = (
        sa.select(palette_tags.c.seed, has_failed, sa.func.count())
        .where(palette_tags.c.seed.in_(seeds), *_came_from(palette_tags, source))
        .group_by(palette_tags.c.seed, has_failed)
    )
    count = {(seed, bool(failed)): number for seed, failed, number in connection.execute(counts)}
    refinements = _refined(source).where(palette_tag_refined.c.seed.in_(seeds))
    refined = set(_seeds(connection, refinements))
    return [
        PaletteCard(seed, count.get((seed, False), 0), count.get((seed, True), 0), seed in refined)
        for seed in seeds
        if seed in known
    ]


def all_seeds(connection: Connection) -> list[str]:
    """Return the seeds of all palettes, in no order."""
    return _seeds(connection, sa.select(palettes.c.seed))


def refined_seeds(connection: Connection, source: str = "") -> set[str]:
    """Return the seeds of all palettes that have a refinement, by a source if one is named."""
    return set(_seeds(connection, _refined(source).distinct()))


def imported_sources(connection: Connection) -> list[str]:
    """Return the systems that answers or refinements came from; ours are not looked for."""
    tables = (palette_tags, palette_tag_refined)
    return [source for source in _SYSTEMS if any(_has(connection, t, source) for t in tables)]


def _has(connection: Connection, table: sa.Table, source: str) -> bool:
    """Look into the index of what was imported, so that it takes no time in a big store."""
    imported = table.c.source_id.is_not(None)
    query = sa.select(table.c.id).where(table.c.source == source, imported).limit(1)
    return connection.execute(query).first() is not None


def _conditions(text: str, state: State | None, source: str) -> list[sa.ColumnElement[bool]]:
    seed = palettes.c.seed
    conditions = [seed.icontains(text, autoescape=True)] if text else []
    came = _came_from(palette_tags, source)
    answers = sa.select(palette_tags.c.seed).where(palette_tags.c.seed == seed, *came)
    is_refined = seed.in_(_refined(source))
    if state is None:
        return [*conditions, answers.exists() | is_refined] if source else conditions
    if state == "refined":
        return [*conditions, is_refined]
    has_answer = answers.where(palette_tags.c.error_class.is_(None)).exists()
    if state == "tagged":
        return [*conditions, has_answer, ~is_refined]
    failed = sa.select(palette_tags.c.seed).where(palette_tags.c.error_class.is_not(None), *came)
    is_failed = seed.in_(failed)
    return [*conditions, ~has_answer, ~is_refined, is_failed if state == "failed" else ~is_failed]


def _refined(source: str) -> sa.Select[Any]:
    succeeded = palette_tag_refined.c.error_class.is_(None)
    came = _came_from(palette_tag_refined, source)
    return sa.select(palette_tag_refined.c.seed).where(succeeded, *came)


def _came_from(table: sa.Table, source: str) -> list[sa.ColumnElement[bool]]:
    return [table.c.source == source] if source else []


def _seeds(connection: Connection, query: sa.Select[Any]) -> list[str]:
    return list(connection.execute(query).scalars())
