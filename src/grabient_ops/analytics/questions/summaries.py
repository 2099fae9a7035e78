"""The consensus of many palettes at once, as refinement shows it to a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.analytics.questions.asking import Selection, answer, chosen

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse


class TagVotes(NamedTuple):
    """How many answers gave a tag."""

    category: str
    tag: str
    votes: int


class Summary(NamedTuple):
    """What was said about a palette.

    Attributes:
        responses: its answers that could be read.
        models: different models among them.
        votes: every tag, in no order.
    """

    responses: int
    models: int
    votes: list[TagVotes]


def summarise(
    warehouse: "Warehouse", seeds: Sequence[str], selection: Selection
) -> dict[str, Summary]:
    """Count the tags of some palettes; those without an answer are left out.

    Raises:
        InputError: nothing was ever answered under one of the selection's names.
    """
    summaries: dict[str, Summary] = {}
    with chosen(warehouse, selection) as cursor:
        rows = answer(cursor, "consensus_of_seeds", seeds=list(seeds)).fetchall()
    for seed, responses, models, category, tag, votes in rows:
        summary = summaries.setdefault(seed, Summary(responses, models, []))
        if category is not None:
            summary.votes.append(TagVotes(category, tag, votes))
    return summaries
