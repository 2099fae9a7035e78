"""Refinements: how far they are, and the newest of each palette."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.chunks import chunks
from grabient_ops.store.counting import count_of, one_if
from grabient_ops.store.tables import (
    palette_tag_refined,
    palette_tags,
    palettes,
    prompt_versions,
    targets,
)
from grabient_ops.store.targets import FINAL_ERRORS


class RefinementProgress(NamedTuple):
    """How far refinement is, in palettes.

    Attributes:
        ready: have been tagged.
        refined: have been refined.
        pending: the others that are ready.
        failed: were to be refined, and have no attempt left.
    """

    ready: int
    refined: int
    pending: int
    failed: int


def measure_refinement(
    connection: Connection, source: str, max_attempts: int
) -> RefinementProgress:
    """Return how far refinement is with the palettes tagged under a prompt version."""
    tagged = (
        sa.select(palette_tags.c.seed)
        .join(palettes, palettes.c.seed == palette_tags.c.seed)
        .where(palette_tags.c.prompt_version == source, palette_tags.c.error_class.is_(None))
        .distinct()
        .subquery()
    )
    refined = _refined_seeds()
    ready = _count(connection, sa.select(tagged.c.seed))
    done = _count(connection, sa.select(tagged.c.seed).where(tagged.c.seed.in_(refined)))
    given_up = _given_up(max_attempts).subquery()
    failed = _count(
        connection,
        sa.select(tagged.c.seed)
        .join(given_up, given_up.c.seed == tagged.c.seed)
        .where(tagged.c.seed.not_in(refined)),
    )
    return RefinementProgress(ready, done, ready - done - failed, failed)


def count_refined_palettes(connection: Connection) -> int:
    """Return how many palettes have been refined, by whatever model and prompt."""
    answers = palette_tag_refined.c
    query = sa.select(sa.func.count(answers.seed.distinct())).where(answers.error_class.is_(None))
    return connection.execute(query).scalar_one()


def _refined_seeds() -> sa.Select[str]:
    return sa.select(palette_tag_refined.c.seed).where(palette_tag_refined.c.error_class.is_(None))


def _given_up(max_attempts: int) -> sa.Select[Any]:
    """Return the seeds whose every wanted refinement has used up its attempts."""
    answers = palette_tag_refined.c
    counted = sa.and_(answers.error_class.is_not(None), answers.excused.is_(False))
    is_final = sa.and_(counted, answers.error_class.in_(FINAL_ERRORS))

    used_up = sa.or_(count_of(counted) >= max_attempts, count_of(is_final) > 0)
    pairs = (
        sa.select(targets.c.seed, one_if(used_up).label("used_up"))
        .join(prompt_versions, prompt_versions.c.version == targets.c.prompt_version)
        .outerjoin(
            palette_tag_refined,
            sa.and_(
                *(
                    answers[name] == targets.c[name]
                    for name in ("prompt_version", "provider", "model", "seed")
                )
            ),
        )
        .where(prompt_versions.c.kind == "refinement")
        .group_by(targets.c.prompt_version, targets.c.provider, targets.c.model, targets.c.seed)
        .subquery()
    )
    return sa.select(pairs.c.seed).group_by(pairs.c.seed).having(sa.func.min(pairs.c.used_up) == 1)


def count_refined(
    connection: Connection, key: dict[str, Any], seeds: Sequence[str], runs: int
) -> int:
    """Return how many refinements of some palettes a (model, prompt version) has in its runs."""
    count = 0
    for chunk in chunks(seeds):
        query = (
            sa.select(sa.func.count())
            .select_from(palette_tag_refined)
            .filter_by(**key)
            .where(
                palette_tag_refined.c.seed.in_(chunk),
                palette_tag_refined.c.run_number <= runs,
                palette_tag_refined.c.error_class.is_(None),
            )
        )
        count += connection.execute(query).scalar_one()
    return count


def _count(connection: Connection, query: sa.Select[Any]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
