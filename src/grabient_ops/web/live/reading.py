"""What panels read from: one snapshot of everything, for all panels of an update."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from grabient_ops.app import App
from grabient_ops.web.worker import WorkerState

if TYPE_CHECKING:
    import duckdb
    from dbos import DBOSClient

    from grabient_ops.analytics.warehouse import Warehouse
    from grabient_ops.pipeline.services import Services


class Reading:
    """One look at the present.

    Attributes:
        app: settings, catalog and the like.
        connection: the store, in one read transaction; not for writing.
        worker: who works on the home.
    """

    def __init__(self, room: "ReadingRoom", connection: Connection, closing: ExitStack) -> None:
        self.app = room.app
        self.connection = connection
        self.worker = room.worker()
        self._room = room
        self._closing = closing

    @property
    def services(self) -> "Services":
        """The parts that the pipeline works with."""
        return self.app.services

    @cached_property
    def status(self) -> dict[str, Any]:
        """How far everything is; several panels share one count."""
        from grabient_ops.pipeline.status import measure_status

        return measure_status(self.connection, self.services)

    @cached_property
    def warehouse(self) -> "duckdb.DuckDBPyConnection":
        """The newest generation of the lake, as it lies there; only for panels of the slow lane.

        Raises:
            EmptyLakeError: nothing has been published yet.
        """
        return self._closing.enter_context(self._room.open_warehouse().cursor())

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
        self._lock = threading.Lock()
        self._warehouse: Warehouse | None = None

    @contextmanager
    def open(self) -> Iterator[Reading]:
        """Begin a look at the present.

        Raises:
            StoreError: the store cannot be read.
        """
        with ExitStack() as closing:
            connection = closing.enter_context(self.app.store.read())
            yield Reading(self, connection, closing)

    def open_warehouse(self) -> "duckdb.DuckDBPyConnection":
        """Return the newest generation of the lake; use a cursor of it.

        Raises:
            EmptyLakeError: nothing has been published yet.
        """
        from grabient_ops.analytics.warehouse import open_generation, require_manifest

        manifest = require_manifest(self.app.lake)
        with self._lock:
            if self._warehouse is None or self._warehouse.generation != manifest.generation:
                self._warehouse = open_generation(self.app.lake, manifest)
            return self._warehouse.connection

    @cached_property
    def journal(self) -> "DBOSClient":
        """The journal's client, for all."""
        return self.app.journal()
