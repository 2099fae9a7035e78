"""What a panel showed last, and at which version each part of it became so."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from grabient_ops.web.live.panel import Wanted
from grabient_ops.web.live.topics import Topic

_RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Pieces(NamedTuple):
    """A panel's HTML, cut at the parts that may change one by one.

    Attributes:
        frame: the HTML around the parts; one string more than there are parts.
        parts: element id -> HTML of that element, in order.
    """

    frame: tuple[str, ...]
    parts: dict[str, str]

    @classmethod
    def cut(cls, text: str, mark: str) -> Self:
        """Cut rendered text at the marks that the template's `part` blocks have left."""
        frame, parts = [], {}
        for index, piece in enumerate(text.split(mark)):
            if index % 2:
                name, _, html = piece.partition("\n")
                parts[name] = html.strip()
            else:
                frame.append(piece)
        return cls(tuple(frame), parts)

    @property
    def html(self) -> str:
        """The whole."""
        first, *others = self.frame
        return first + "".join(
            part + frame for part, frame in zip(self.parts.values(), others, strict=True)
        )

    def is_of_form(self, other: "Pieces") -> bool:
        """Whether the same parts stand in the same order in the same frame."""
        return self.frame == other.frame and list(self.parts) == list(other.parts)


_NOTHING = Pieces(("",), {})


@dataclass(eq=False)
class View:
    """One panel with its parameters, as all its viewers see it.

    Attributes:
        wanted: what it shows.
        pieces: what it showed last.
        since: version at which it became so as a whole; 0 before the first reading.
        changed: versions at which single parts have changed after that.
        failures: readings that failed in a row.
        retry_at: when to read it again although nothing has changed; the loop's time.
        viewers: streams that follow it.
        seen_at: when somebody last asked for it; the loop's time.
    """

    wanted: Wanted
    pieces: Pieces = _NOTHING
    since: int = 0
    changed: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    retry_at: float | None = None
    viewers: int = 0
    seen_at: float = 0.0

    def is_due(self, topics: set[Topic], now: float) -> bool:
        """Whether it is to be read, after news of these topics."""
        is_retried = self.retry_at is not None and self.retry_at <= now
        return not self.since or is_retried or not topics.isdisjoint(self.wanted.panel.topics)

    def note_outcome(self, now: float, *, failed: bool) -> None:
        """Decide when to read again by itself: after a failure, ever later."""
        self.failures = self.failures + 1 if failed else 0
        wait = _RETRY_S[min(self.failures, len(_RETRY_S)) - 1]
        self.retry_at = now + wait if failed else None

    def show(self, pieces: Pieces, version: int) -> bool:
        """Take over what it shows now, under a version; return whether that is any different."""
        before, self.pieces = self.pieces, pieces
        if not self.since or not pieces.is_of_form(before):
            self.since, self.changed = version, {}
            return True
        different = [name for name, html in pieces.parts.items() if html != before.parts[name]]
        self.changed.update(dict.fromkeys(different, version))
        return bool(different)

    def news(self, version: int) -> Iterator[str]:
        """Yield the fragments that somebody lacks who has seen a version."""
        if self.since > version:
            yield _partial(self.wanted.panel.id, "innerMorph", self.pieces.html)
            return
        for name, changed in self.changed.items():
            if changed > version:
                yield _partial(name, "outerMorph", self.pieces.parts[name])


def _partial(element_id: str, swap: str, html: str) -> str:
    return f'<hx-partial hx-target="#{element_id}" hx-swap="{swap}">{html}</hx-partial>'
