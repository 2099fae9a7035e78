"""What was answered about one palette, for people who look at it: all of it but the long texts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import answers_of, palette_tag_refined, palette_tags


class Asked(NamedTuple):
    """Who was asked about a palette, in which run, under which prompt."""

    prompt_version: str
    provider: str
    model: str
    run_number: int


class AnswerRow(NamedTuple):
    """One answer or failure of the tagging stage, but for its text.

    Attributes:
        tags: what was parsed from the answer; None for a failure.
        cost: in pico-dollars; None when it has no known price.
        characters: of the text; 0 without one.
    """

    id: int
    provider: str
    model: str
    model_returned: str | None
    run_number: int
    prompt_version: str
    attempt: int
    tags: Any
    error_class: str | None
    error: str | None
    finish_reason: str | None
    parse_stage: str | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: int | None
    created_at: datetime
    characters: int


class RefinementRow(NamedTuple):
    """One refinement, or the failure of one, but for its text.

    Attributes:
        input: what the model was shown, picture aside.
        tags: the ten canonical fields; None for a failure.
        dropped: tags that it left out, as `{"tag", "reason"}`.
        cost: in pico-dollars; None when it has no known price.
        characters: of the text; 0 without one.
    """

    id: int
    provider: str
    model: str
    run_number: int
    prompt_version: str
    attempt: int
    source_prompt_versions: list[str]
    input: str
    tags: Any
    embed_text: str | None
    sentence: str | None
    dropped: Any
    error_class: str | None
    error: str | None
    input_tokens: int
    output_tokens: int
    cost: int | None
    created_at: datetime
    characters: int


def list_asked(connection: Connection, seed: str) -> list[Asked]:
    """Return every combination that has an answer or a failure about a palette."""
    columns = [palette_tags.c[name] for name in Asked._fields]
    query = sa.select(*columns).where(palette_tags.c.seed == seed).distinct().order_by(*columns)
    return [Asked(*row) for row in connection.execute(query)]


def answers_about(connection: Connection, seed: str, **equal: str | int | None) -> list[AnswerRow]:
    """Return the answers about a palette: the latest run first, within it by model.

    `equal` filters by columns.
    """
    table = palette_tags.c
    order = (table.provider, table.model, table.prompt_version, table.attempt)
    query = (
        sa.select(*_columns(palette_tags, AnswerRow._fields))
        .where(table.seed == seed)
        .filter_by(**{name: value for name, value in equal.items() if value is not None})
        .order_by(table.run_number.desc(), *order)
    )
    return [AnswerRow(*row) for row in connection.execute(query)]


def refinements_about(connection: Connection, seed: str, limit: int) -> list[RefinementRow]:
    """Return the refinements of a palette, the newest first."""
    table = palette_tag_refined.c
    query = (
        sa.select(*_columns(palette_tag_refined, RefinementRow._fields))
        .where(table.seed == seed)
        .order_by(table.created_at.desc(), table.id.desc())
        .limit(limit)
    )
    return [RefinementRow(*row) for row in connection.execute(query)]


def text_beginnings(connection: Connection, ids: Sequence[int], characters: int) -> dict[int, str]:
    """Return the first characters of the texts of some tagging answers, by their ids."""
    table = palette_tags.c
    query = sa.select(table.id, sa.func.substr(table.response, 1, characters)).where(
        table.id.in_(ids), table.response.is_not(None)
    )
    return dict(tuple(row) for row in connection.execute(query))


def text_of(connection: Connection, kind: str, seed: str, answer_id: int) -> str | None:
    """Return the text of an answer of a stage, verbatim; None when it has none."""
    table = answers_of(kind)
    query = sa.select(table.c.response).where(table.c.id == answer_id, table.c.seed == seed)
    text: str | None = connection.execute(query).scalar()
    return text


def _columns(table: sa.Table, names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    characters = sa.func.coalesce(sa.func.length(table.c.response), 0)
    return [characters if name == "characters" else table.c[name] for name in names]
