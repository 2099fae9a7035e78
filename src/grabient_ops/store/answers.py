"""Everything that was said about one palette, in either stage."""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import answers_of, palette_tag_refined


class StoredAnswer(NamedTuple):
    """One answer or failure, as stored; the ids of the two stages are apart."""

    id: int
    seed: str
    provider: str
    model: str
    model_returned: str | None
    run_number: int
    prompt_version: str
    attempt: int
    batch_id: str
    tags: dict[str, Any] | None
    response: str | None
    error_class: str | None
    error: str | None
    finish_reason: str | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    created_at: datetime


class StoredRefinement(NamedTuple):
    """The refined tags of a palette."""

    id: int
    seed: str
    provider: str
    model: str
    run_number: int
    prompt_version: str
    source_prompt_versions: list[str]
    tags: dict[str, Any]
    dropped: list[dict[str, str]] | None
    sentence: str | None
    embed_text: str | None
    created_at: datetime


def list_answers(
    connection: Connection, seed: str, kind: str = "tagging", *, after: int = 0, limit: int | None
) -> list[StoredAnswer]:
    """Return what was said about a palette in a stage, in the order of the ids, after an id."""
    answers = answers_of(kind)
    query = (
        sa.select(*(answers.c[name] for name in StoredAnswer._fields))
        .where(answers.c.seed == seed, answers.c.id > after)
        .order_by(answers.c.id)
        .limit(limit)
    )
    return [StoredAnswer(*row) for row in connection.execute(query)]


def newest_refinement(connection: Connection, seed: str) -> StoredRefinement | None:
    """Return the refinement of a palette that counts: the newest that succeeded."""
    refined = palette_tag_refined
    query = (
        sa.select(*(refined.c[name] for name in StoredRefinement._fields))
        .where(refined.c.seed == seed, refined.c.error_class.is_(None))
        .order_by(refined.c.created_at.desc(), refined.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else StoredRefinement(*row)
