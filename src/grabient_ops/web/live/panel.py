"""What a panel is: a question about the present, and the template that shows the answer."""

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import Topic

Context = Mapping[str, object]
"""What a template is given, by name."""
Pace = Literal["quick", "slow", "heavy"]
"""`quick` panels follow within 50 ms; `slow` ones, which ask the warehouse, within two seconds.
`heavy` ones may work for many seconds, and only each other has to wait for them."""

P_contra = TypeVar("P_contra", bound=Hashable, contravariant=True)
_ID = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True, eq=False)
class Panel(Generic[P_contra]):
    """A part of a page that follows the data by itself.

    Attributes:
        id: of its element, unique in the dashboard: `<page>-<what>`, lower case.
        topics: what its answer depends on; it is read again when one of them changes.
        template: file under `templates/`; it gets the context, and `params`.
        read: (reading, params) -> context. It depends on nothing but these, writes nothing, and
            says the same for every viewer: the answer is shared by all.
        pace: how soon it follows.
    """

    id: str
    topics: frozenset[Topic]
    template: str
    read: Callable[[Reading, P_contra], Context]
    pace: Pace = "quick"

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no id of a panel")


class Wanted(NamedTuple):
    """A panel with the parameters that a page shows it with; equal ones are one for all viewers."""

    panel: Panel[Any]
    params: Hashable
