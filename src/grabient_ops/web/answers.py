"""What the warehouse answers: the newest generation, each question asked once, none for long."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from grabient_ops.analytics.patience import patience
from grabient_ops.app import App

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse

T = TypeVar("T")
_PATIENCE_S = 20.0
_KEPT = 200


class Answers:
    """The warehouse as pages see it; safe to use from several threads."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._warehouse: Warehouse | None = None
        self._known: OrderedDict[Hashable, Any] = OrderedDict()

    def ask(self, question: Callable[..., T], *args: Hashable, **options: Hashable) -> T:
        """Return the answer to a question of `analytics/questions`; nobody may change it.

        Args:
            question: called with the warehouse before the other arguments, unless its answer is
                known: the same question in the same generation has the same one.
            args: hashable, as they are part of what is remembered.
            options: the same.

        Raises:
            EmptyLakeError: nothing has been published yet.
            GrabientError: the question cannot be answered, or not within 20 s.
        """
        warehouse = self.open()
        key = (warehouse.generation, question, args, tuple(sorted(options.items())))
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                known: T = self._known[key]
                return known
        with patience(_PATIENCE_S):
            answer = question(warehouse, *args, **options)
        with self._lock:
            self._known[key] = answer
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return answer

    def open(self) -> "Warehouse":
        """Return the newest generation; use cursors of it, and leave it open.

        Raises:
            EmptyLakeError: nothing has been published yet.
        """
        from grabient_ops.analytics.warehouse import open_generation, require_manifest

        manifest = require_manifest(self._app.lake)
        with self._lock:
            if self._warehouse is None or self._warehouse.generation != manifest.generation:
                self._warehouse = open_generation(self._app.lake, manifest)
                self._known.clear()
            return self._warehouse

    def catch_up(self) -> None:
        """Bring the lake to the present, where no worker's follower does."""
        from grabient_ops.analytics.locking import LakeBusyError
        from grabient_ops.analytics.sync import sync

        try:
            sync(self._app.lake, self._app.settings.store_url, wait_s=0)
        except LakeBusyError:
            return
