"""What changes with the prompt: tags by prompt version, and the difference of two."""

from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.analytics.questions.asking import (
    EVERYTHING,
    Selection,
    ask,
    check_category,
    chosen,
    prompt_id,
)
from grabient_ops.analytics.significance import adjusted, p_value, z_score
from grabient_ops.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse


class Version(NamedTuple):
    """One prompt version.

    Attributes:
        responses: what came back, failures and every attempt included.
        answered: those with tags.
        tags_per_answer: mean over all ten categories; None without answers.
    """

    prompt_version: str
    responses: int
    answered: int
    palettes: int
    models: int
    runs: int
    tags_per_answer: float | None
    distinct_tags: int


class VersionTag(NamedTuple):
    """How often one tag was given under one prompt version; share is votes / responses."""

    category: str
    tag: str
    prompt_version: str
    votes: int
    responses: int
    share: float


class TagDifference(NamedTuple):
    """One tag under two prompt versions.

    Attributes:
        difference: new share less old share, -1 to 1.
        z: the difference in standard deviations; palettes are the independent units.
        p_value: two-sided, normal approximation; trust it from about 30 palettes on.
        q_value: p_value corrected for the number of tags compared (Benjamini-Hochberg).
    """

    category: str
    tag: str
    old_votes: int
    old_responses: int
    old_share: float
    new_votes: int
    new_responses: int
    new_share: float
    difference: float
    z: float
    p_value: float
    q_value: float


def versions(warehouse: "Warehouse", selection: Selection = EVERYTHING) -> list[Version]:
    """Sum up each prompt version."""
    with chosen(warehouse, selection) as cursor:
        return ask(cursor, "versions", Version)


def tags_by_version(
    warehouse: "Warehouse",
    selection: Selection = EVERYTHING,
    *,
    category: str | None = None,
    limit: int | None = None,
) -> list[VersionTag]:
    """Count the most frequent tags under each prompt version.

    Args:
        warehouse: where to look.
        selection: which answers count.
        category: only its tags.
        limit: how many tags; each has a row for every version. None for all.
    """
    check_category(category)
    with chosen(warehouse, selection) as cursor:
        return ask(cursor, "tags_by_version", VersionTag, category=category, limit=limit)


def version_difference(
    warehouse: "Warehouse",
    old: str,
    new: str,
    selection: Selection = EVERYTHING,
    *,
    min_votes: int = 5,
) -> list[TagDifference]:
    """Compare two prompt versions, tag by tag; the surest difference first.

    Args:
        warehouse: where to look.
        old: a prompt version, or its beginning.
        new: another one.
        selection: which models and runs count.
        min_votes: tags with fewer votes in both together are left out: they could show nothing,
            and every comparison makes the others less sure.

    Raises:
        InputError: a version is unknown or has no answers, or both are the same.
    """
    with chosen(warehouse, selection._replace(prompts=())) as cursor:
        ids = _compared(cursor, old, new)
        rows = cursor.execute("SELECT prompt_id FROM chosen_responses WHERE ok GROUP BY prompt_id")
        answered = {row[0] for row in rows.fetchall()}
        for word, number in zip((old, new), ids, strict=True):
            if number not in answered:
                raise InputError(f"prompt version {word!r} has no answers to compare")
        found = ask(
            cursor, "version_difference", _Counted, old=ids[0], new=ids[1], min_votes=min_votes
        )
    scores = [
        z_score((row.old_votes, row.new_votes), (row.old_responses, row.new_responses), row.spread)
        for row in found
    ]
    chances = [p_value(z) for z in scores]
    judged = map(_difference, found, scores, chances, adjusted(chances))
    return sorted(judged, key=lambda row: (-abs(row.z), row.category, row.tag))


class _Counted(NamedTuple):
    category: str
    tag: str
    old_votes: int
    old_responses: int
    new_votes: int
    new_responses: int
    spread: float | None


def _compared(cursor: "DuckDBPyConnection", old: str, new: str) -> tuple[int, int]:
    known = dict(cursor.execute("SELECT prompt_version, prompt_id FROM prompts").fetchall())
    ids = prompt_id(known, old), prompt_id(known, new)
    if ids[0] == ids[1]:
        raise InputError(f"{old!r} and {new!r} are the same prompt version")
    return ids


def _difference(row: _Counted, z: float, chance: float, corrected: float) -> TagDifference:
    old, new = row.old_votes / row.old_responses, row.new_votes / row.new_responses
    return TagDifference(
        row.category, row.tag, row.old_votes, row.old_responses, old,
        row.new_votes, row.new_responses, new, new - old, z, chance, corrected,
    )  # fmt: skip
