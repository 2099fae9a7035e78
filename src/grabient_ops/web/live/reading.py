"""What panels read from: one snapshot of everything, for all panels of an update."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.engine import Connection

from grabient_ops.app import App
from grabient_ops.web.live.memo import Memo
from grabient_ops.web.live.topics import REFINEMENT, TAGGING, Topic
from grabient_ops.web.worker import WorkerState

if TYPE_CHECKING:
    from dbos import DBOSClient

    from grabient_ops.pipeline.scoreboard import Score
    from grabient_ops.pipeline.services import Services
    from grabient_ops.store.refinements import RefinementProgress
    from grabient_ops.web.answers import Answers
    from grabient_ops.web.finder import Finder
    from grabient_ops.web.lookalikes import Lookalikes

T = TypeVar("T")


class Reading:
    """One look at the present.

    Attributes:
        app: settings, catalog and the like.
        connection: the store, in one read transaction; not for writing.
        worker: who works on the home.
    """

    def __init__(self, room: "ReadingRoom", connection: Connection, memo: Memo) -> None:
        self.app = room.app
        self.connection = connection
        self.worker = room.worker()
        self._room = room
        self._memo = memo

    @property
    def services(self) -> "Services":
        """The parts that the pipeline works with."""
        return self.app.services

    @property
    def score(self) -> "Score":
        """How far tagging is under the current prompt version, by model and run."""
        from grabient_ops.pipeline.scoreboard import Scoreboard

        board = self.kept("scoreboard", frozenset(), lambda: Scoreboard(self.services))
        return self.kept("score", TAGGING, lambda: board.look(self.connection))

    @property
    def refinement(self) -> "RefinementProgress":
        """How far refinement is with what has been tagged."""
        from grabient_ops.pipeline.status import current_refinement

        return self.kept(
            "refinement",
            REFINEMENT,
            lambda: current_refinement(self.connection, self.services),
        )

    def kept(self, name: str, topics: frozenset[Topic], read: Callable[[], T]) -> T:
        """Read what is costly, or return it as it was read before, while its topics stand still.

        Args:
            name: of the figure; the same for the same `read`.
            topics: on which it depends, as those of a panel.
            read: reads it, from this reading.
        """
        return self._memo.get(name, topics, read)

    def ask(self, question: Callable[..., T], *args: Hashable, **options: Hashable) -> T:
        """Ask the warehouse; only for heavy panels. See `Answers.ask`."""
        return self._answers_of_now.ask(question, *args, **options)

    @property
    def answers(self) -> "Answers":
        """What the warehouse answers, as it lies there."""
        return self._room.answers

    @cached_property
    def _answers_of_now(self) -> "Answers":
        """Where no worker is, nobody else brings the warehouse up to date."""
        if self.worker.state in {"none", "failed"}:
            self.answers.catch_up()
        return self.answers

    @property
    def finder(self) -> "Finder":
        """Search by meaning; only for panels of the slow lane."""
        return self._room.finder

    @property
    def lookalikes(self) -> "Lookalikes":
        """Search by colours; only for panels of the slow lane."""
        return self._room.lookalikes

    @property
    def journal(self) -> "DBOSClient":
        """The steps of workflows: a database of its own, read as it is now."""
        return self._room.journal

    def guarded(self) -> AbstractContextManager[object]:
        """Keep the failure of one query from spoiling the snapshot for the others."""
        is_fragile = self.connection.dialect.name == "postgresql"
        return self.connection.begin_nested() if is_fragile else nullcontext()


class ReadingRoom:
    """Begins looks at the present, in any thread, and keeps open what is costly to open.

    Attributes:
        app: the home's parts.
        worker: says who works on the home.
    """

    def __init__(self, app: App, worker: Callable[[], WorkerState]) -> None:
        self.app = app
        self.worker = worker

    @contextmanager
    def open(self, memo: Memo | None = None) -> Iterator[Reading]:
        """Begin a look at the present.

        Args:
            memo: figures that still hold; whoever keeps it forgets what has changed.

        Raises:
            StoreError: the store cannot be read.
        """
        with self.app.store.read() as connection:
            yield Reading(self, connection, memo or Memo())

    @cached_property
    def answers(self) -> "Answers":
        """What the warehouse answers, for all."""
        from grabient_ops.web.answers import Answers

        return Answers(self.app)

    @cached_property
    def finder(self) -> "Finder":
        """The index of refined palettes, for all."""
        from grabient_ops.web.finder import Finder

        return Finder(self.app)

    @cached_property
    def lookalikes(self) -> "Lookalikes":
        """The colours of all palettes, for all."""
        from grabient_ops.web.lookalikes import Lookalikes

        return Lookalikes()

    @cached_property
    def journal(self) -> "DBOSClient":
        """The journal's client, for all."""
        return self.app.journal()
