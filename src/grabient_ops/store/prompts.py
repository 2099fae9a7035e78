"""Prompt versions: every text that was ever sent, by the hash of its content."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.errors import InputError
from grabient_ops.store.changes import announce
from grabient_ops.store.tables import palette_tag_refined, palette_tags, prompt_versions
from grabient_ops.store.upsert import insert_new


class PromptVersion(NamedTuple):
    """A registered prompt."""

    version: str
    kind: str
    content: str
    message: str
    created_at: datetime


def register_prompt(connection: Connection, prompt: PromptVersion) -> bool:
    """Keep a prompt version; return whether it was new. The first message stays."""
    is_new = bool(insert_new(connection, prompt_versions, [prompt._asdict()]))
    if is_new:
        announce(connection, "prompts", [prompt.version], prompt.created_at)
    return is_new


def get_prompt(connection: Connection, version: str) -> PromptVersion | None:
    """Return a prompt version by its full name or an unambiguous beginning of it, or None."""
    query = sa.select(prompt_versions).where(
        prompt_versions.c.version.startswith(version, autoescape=True)
    )
    # Versions of other systems may be the beginning of others.
    shortest_first = query.order_by(sa.func.length(prompt_versions.c.version)).limit(2)
    rows = [PromptVersion(*row) for row in connection.execute(shortest_first)]
    is_found = len(rows) == 1 or (rows and rows[0].version == version)
    return rows[0] if is_found else None


def require_prompt(connection: Connection, version: str) -> PromptVersion:
    """Return a prompt version by its full name or an unambiguous beginning of it.

    Raises:
        InputError: no version begins so, or several do.
    """
    found = get_prompt(connection, version)
    if found is None:
        raise InputError(f"no prompt version begins with {version!r}, or several do")
    return found


def list_prompts(connection: Connection) -> list[tuple[PromptVersion, int]]:
    """Return (prompt version, stored answers under it), newest first."""
    answers = sa.union_all(*map(_count_answers, (palette_tags, palette_tag_refined))).subquery()
    query = (
        sa.select(prompt_versions, sa.func.coalesce(answers.c.n, 0))
        .outerjoin(answers, answers.c.prompt_version == prompt_versions.c.version)
        .order_by(prompt_versions.c.created_at.desc(), prompt_versions.c.version)
    )
    return [(PromptVersion(*row[:5]), row[5]) for row in connection.execute(query)]


def _count_answers(table: sa.Table) -> sa.Select[tuple[str, int]]:
    return (
        sa.select(table.c.prompt_version, sa.func.count().label("n"))
        .where(table.c.error_class.is_(None))
        .group_by(table.c.prompt_version)
    )
