"""What answers can be chosen by, for people who do not know the names by heart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from grabient_ops.analytics.questions.asking import EVERYTHING, ask, chosen

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse


class Choices(NamedTuple):
    """The names under which there are answers.

    Attributes:
        prompts: prompt versions.
        models: as `provider/model`.
        runs: their numbers, from the first.
        sources: `own`, and the systems that answers came from.
    """

    prompts: Sequence[str] = ()
    models: Sequence[str] = ()
    runs: Sequence[int] = ()
    sources: Sequence[str] = ()


class _Choice(NamedTuple):
    kind: Literal["prompt", "model", "run", "source"]
    value: str


def choices(warehouse: "Warehouse") -> Choices:
    """Return what answers can be chosen by."""
    with chosen(warehouse, EVERYTHING) as cursor:
        found = ask(cursor, "choices", _Choice)
    return Choices(
        [value for kind, value in found if kind == "prompt"],
        [value for kind, value in found if kind == "model"],
        [int(value) for kind, value in found if kind == "run"],
        [value for kind, value in found if kind == "source"],
    )
