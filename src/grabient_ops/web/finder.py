"""Finds refined palettes by meaning: one index for all who ask, kept up to date with the store."""

import threading
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy.engine import Connection

from grabient_ops.analytics.refined import REFINED, read_refined
from grabient_ops.analytics.search.embedding import Embedder
from grabient_ops.analytics.search.index import Hit, Index, open_index
from grabient_ops.analytics.search.refresh import refresh_refined
from grabient_ops.app import App
from grabient_ops.errors import GrabientError
from grabient_ops.logs import scrub
from grabient_ops.store.changes import Mark, news

log = structlog.get_logger(__name__)


_EACH = 3


class Finder:
    """Searches a home's refined palettes; safe to use from several threads."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._mark: Mark | None = None
        self._index: Index | None = None

    def search(self, connection: Connection, text: str, limit: int) -> list[Hit]:
        """Return the palettes that are closest to a text, best first.

        Raises:
            EmptyIndexError: no palette is refined.
            GrabientError: the text is blank, or cannot be embedded.
        """
        return self._opened(connection).search(text, self._embedder, limit)

    def neighbours(self, connection: Connection, seed: str, limit: int) -> list[Hit]:
        """Return the palettes that are closest in meaning to one; none when that is not refined.

        Raises:
            EmptyIndexError: no palette is refined.
        """
        index = self._opened(connection)
        return index.neighbours(seed, limit) if seed in index.seeds else []

    def warm_up(self, connection: Connection) -> None:
        """Read what the first search would have to wait for; errors as `search`."""
        self.search(connection, "colour", 1)

    @property
    def _embedder(self) -> Embedder:
        return self._app.embedder

    def _opened(self, connection: Connection) -> Index:
        """Return the index with all that a snapshot of the store shows."""
        with self._lock:
            topics, self._mark = news(connection, self._mark)
            if "refinements" in topics:
                self._refresh()
            manifest = read_refined(self._app.lake / REFINED)
            generation = manifest.generation if manifest else None
            if self._index is None or self._index.generation != generation:
                self._index = open_index(self._app.lake)
            return self._index

    def _refresh(self) -> None:
        try:
            refresh_refined(self._app.lake, self._app.settings.store_url, self._embedder)
        except GrabientError as error:
            # What is there has to do, as on the command line.
            log.warning("refined palettes are as they were before", error=scrub(str(error)))


def tell(tags: Mapping[str, object], fields: Sequence[str]) -> list[str]:
    """Return the first few tags of some fields, for a palette that is shown small."""
    told: list[str] = []
    for field in fields:
        value = tags.get(field)
        told += [str(tag) for tag in (value if isinstance(value, list) else [])[:_EACH]]
    return told
