"""Which palettes were given a tag."""

from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.analytics.facts import normalise
from grabient_ops.analytics.questions.asking import EVERYTHING, Selection, ask, chosen

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse


class TaggedPalette(NamedTuple):
    """A palette that was given a tag.

    Attributes:
        votes: answers that gave it, in whatever category.
        responses: all answers of the palette that could be read.
    """

    seed: str
    votes: int
    responses: int


def palettes_by_tag(
    warehouse: "Warehouse", tag: str, selection: Selection = EVERYTHING, *, text: str = ""
) -> list[TaggedPalette]:
    """Return all palettes that were given a tag, those that agree most on it first.

    Args:
        warehouse: where to look.
        tag: any spelling of it.
        selection: which answers count.
        text: only seeds that hold this, case aside.

    Raises:
        InputError: a name is unknown.
    """
    with chosen(warehouse, selection) as cursor:
        return ask(cursor, "palettes_by_tag", TaggedPalette, tag=normalise(tag), text=text.lower())
