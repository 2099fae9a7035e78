"""Which palettes were given a tag."""

from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.analytics.facts import normalise
from grabient_ops.analytics.questions.asking import ask

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


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
    cursor: "DuckDBPyConnection", tag: str, *, text: str = "", refined: bool | None = None
) -> list[TaggedPalette]:
    """Return all palettes that were given a tag, those that agree most on it first.

    Args:
        cursor: of a warehouse.
        tag: any spelling of it.
        text: only seeds that hold this, case aside.
        refined: only palettes that have, or have not, a refinement.
    """
    return ask(
        cursor, "palettes_by_tag", TaggedPalette,
        tag=normalise(tag), text=text.lower(), refined=refined,
    )  # fmt: skip
