"""Which tags are given most often."""

from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.analytics.questions.asking import (
    EVERYTHING,
    Selection,
    ask,
    check_category,
    chosen,
)

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse


class TopTag(NamedTuple):
    """One tag of one category.

    Attributes:
        place: from 1; of equals, the first by category and tag.
        votes: answers that gave it.
        palettes, models: how many different ones it was given to, and by.
        share: votes among all answers, 0 to 1.
    """

    place: int
    category: str
    tag: str
    votes: int
    palettes: int
    models: int
    share: float


def top_tags(
    warehouse: "Warehouse",
    selection: Selection = EVERYTHING,
    *,
    category: str | None = None,
    limit: int | None = None,
    per_category: bool = False,
) -> list[TopTag]:
    """Rank the tags by their votes.

    Args:
        warehouse: where to look.
        selection: which answers count.
        category: only its tags.
        limit: how many; None for all.
        per_category: rank, and cut at the limit, within each category.

    Raises:
        InputError: a name is unknown.
    """
    check_category(category)
    with chosen(warehouse, selection) as cursor:
        return ask(
            cursor, "top_tags", TopTag,
            category=category, limit=limit, per_category=per_category,
        )  # fmt: skip
