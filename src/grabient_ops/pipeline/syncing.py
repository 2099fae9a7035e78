"""Follows another system: each of its pages is one transaction here, the cursor included.

So a crash costs at most one page, which is then read again. What is deleted there is removed here:
rows of a followed source are its mirror, not our records. When everything has to be read anew, the
rows stay until the new reading is whole; only then those that it has not seen are removed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from sqlalchemy.engine import Connection

from grabient_ops.errors import ConfigError, StoreError
from grabient_ops.importers.convex.documents import TABLES
from grabient_ops.importers.convex.stream import CursorExpiredError, Page, Stream, Version
from grabient_ops.importers.values import ImportedAnswer, ImportedPalette, Refused
from grabient_ops.pipeline.importing import Importer, Kept
from grabient_ops.pipeline.services import Services
from grabient_ops.store.engine import Store
from grabient_ops.store.mirror import (
    SOURCE,
    Document,
    forget_gone,
    known_documents,
    outdated_rivals,
    read_state,
    remember,
    remove,
    remove_answers,
    remove_palettes,
    swap_state,
    take_outdated,
)
from grabient_ops.store.pushes import known_keys

log = structlog.get_logger(__name__)

_ROWS_PER_BATCH = 2000
_ORDER = {table: place for place, table in enumerate(TABLES)}


class State(msgspec.Struct, frozen=True):
    """Where a follower is.

    Attributes:
        url: the deployment.
        cursor: where the next page begins; None to begin with everything.
        generations: by table, how often it was read from the start.
        due: tables that are being read from the start.
        pages: how many pages were stored, so that no state equals a former one.
    """

    url: str
    cursor: str | None = None
    generations: dict[str, int] = {}
    due: list[str] = []
    pages: int = 0

    def anew(self, tables: Iterable[str]) -> "State":
        """Return the state in which some tables are read from the start."""
        again = [table for table in tables if table in TABLES]
        raised = {table: self.generations.get(table, 0) + 1 for table in again}
        return msgspec.structs.replace(
            self,
            generations={**self.generations, **raised},
            due=sorted({*self.due, *again}),
        )

    def restarted(self) -> "State":
        """Return the state in which everything is read from the start."""
        return msgspec.structs.replace(self.anew(TABLES), cursor=None)


class Syncer:
    """One follower of one deployment.

    Args:
        services: the parts.
        stream: the deployment.
        url: its address, by which it is known again.
        dry_run: only count.

    Raises:
        ConfigError: this home follows another deployment.
    """

    def __init__(
        self, services: Services, stream: Stream, url: str, *, dry_run: bool = False
    ) -> None:
        self._services = services
        self._stream = stream
        self._dry_run = dry_run
        self._importer = Importer(services, SOURCE, dry_run=dry_run, rows_per_batch=_ROWS_PER_BATCH)
        with services.store.read() as connection:
            self._stored = read_state(connection)
        self._state = _read(self._stored, url)
        self.report = self._importer.report
        self.removed: Counter[str] = Counter()
        self.pages = 0
        self.changes = 0
        self.restarts = 0

    def begin_again(self) -> None:
        """Read everything again, from the next page on; nothing is missing meanwhile."""
        self._state = self._state.restarted()

    def step(self) -> Page:
        """Read one page and store it.

        Raises:
            ProviderError: the deployment does not answer, or refuses to.
            StoreError: somebody else follows it too.
        """
        page = self._read_page()
        store = _PageStore(self._services, self._state.anew(page.truncated), page)
        after = store.state_after
        new = msgspec.json.encode(after).decode()
        for refused in store.refused:
            self.report.refuse(refused)
        for table in store.echoes:
            self.report.leave_out(table)

        def also(connection: Connection) -> None:
            store.make_room(connection)
            swap_state(connection, self._stored, new)

        self._importer.store(store.kept, also)
        self._state = after
        if not self._dry_run:
            self._stored = new
        self.removed += store.removed
        self.pages += 1
        self.changes += len(page.versions) + len(page.truncated)
        return page

    def _read_page(self) -> Page:
        if self._state.cursor is None and not self._state.due:
            self._state = self._state.restarted()
        try:
            return self._stream.page(self._state.cursor)
        except CursorExpiredError as error:
            log.warning("the deployment is read from the start again", reason=str(error))
            self.restarts += 1
            self._state = self._state.restarted()
            return self._stream.page(None)


class _PageStore:
    """What one page changes.

    Args:
        services: the parts.
        state: where the follower is, tables that the page truncates marked as to be read anew.
        page: what the deployment has said.
    """

    def __init__(self, services: Services, state: State, page: Page) -> None:
        self._state = state
        self._page = page
        self._now: datetime = services.now()
        with services.store.read() as connection:
            # Only the follower changes these, and two of them cannot both swap the state.
            ids = sorted({version.source_id for version in page.versions})
            self._known = known_documents(connection, ids)
            self._versions = self._newest(page.versions)
            self._echoes = known_keys(connection, _keys_in(self._versions))
        self.kept: list[Kept] = []
        self.refused: list[Refused] = []
        self.echoes: list[str] = []
        self.removed: Counter[str] = Counter()
        self._gone: list[Version] = []
        for version in self._versions:
            self._sort(version)
        self.kept.sort(key=lambda record: _ORDER[record.place.table])

    @property
    def state_after(self) -> State:
        """Where the follower is once the page is stored."""
        return msgspec.structs.replace(
            self._state,
            cursor=self._page.cursor,
            due=[] if self._page.is_whole else self._state.due,
            pages=self._state.pages + 1,
        )

    def make_room(self, connection: Connection) -> None:
        """Do everything but storing the records, which comes next in the same transaction."""
        remember(connection, [self._document(version) for version in self._versions])
        for table in TABLES:
            former = [self._known[v.source_id] for v in self._gone if v.table == table
                      and v.source_id in self._known]  # fmt: skip
            self._remove(connection, table, [old for old in former if not old.gone])
        seeds = self._abandoned_seeds()
        self.removed["palettes"] += remove_palettes(connection, seeds, self._now)
        if self._page.is_whole:
            for table in self._state.due:
                generation = self._state.generations[table]
                outdated = take_outdated(connection, table, generation)
                self._remove(connection, table, [old for old in outdated if not old.gone])
            forget_gone(connection)
        else:
            self._remove_rivals(connection)

    def _newest(self, versions: Sequence[Version]) -> list[Version]:
        """Keep the last word on each document, unless a later one was heard before."""
        newest: dict[str, Version] = {}
        for version in versions:
            told = newest.get(version.source_id)
            known = self._known.get(version.source_id)
            heard = max(told.ts if told else 0, known.ts if known else 0)
            if version.ts >= heard:
                newest[version.source_id] = version
        return list(newest.values())

    def _sort(self, version: Version) -> None:
        match version.record:
            case Refused() as refused:
                self.refused.append(refused)
                self._gone.append(version)
            case ImportedAnswer() as answer if _key_of(answer) in self._echoes:
                self.echoes.append(version.table)
                self._gone.append(version)
            case None:
                self._gone.append(version)
            case record if isinstance(record, Kept):
                self.kept.append(record)
            case other:
                raise TypeError(other)

    def _document(self, version: Version) -> Document:
        record = version.record
        return Document(
            source_id=version.source_id,
            table_name=version.table,
            ts=version.ts,
            seed=record.palette.seed if isinstance(record, ImportedPalette) else None,
            generation=self._state.generations.get(version.table, 0),
            gone=record is None,
        )

    def _remove(self, connection: Connection, table: str, documents: Sequence[Document]) -> None:
        if documents:
            self.removed[table] += remove(connection, table, documents, self._now)

    def _abandoned_seeds(self) -> list[str]:
        """Return the palettes that a document was before it became another."""
        seeds = set()
        for version in self._versions:
            before = self._known.get(version.source_id)
            if before and before.seed and isinstance(version.record, ImportedPalette):
                seeds.add(before.seed)
        return sorted(seeds - {r.palette.seed for r in self.kept if isinstance(r, ImportedPalette)})

    def _remove_rivals(self, connection: Connection) -> None:
        """Remove outdated answers where a new one needs their place before its table is whole."""
        for table in {"palette_tags", "palette_tag_refined"}.intersection(self._state.due):
            keys = [
                (r.prompt_version, r.provider, r.model, r.run_number, r.seed)
                for r in self.kept
                if isinstance(r, ImportedAnswer) and r.place.table == table
            ]
            generation = self._state.generations[table]
            rivals = outdated_rivals(connection, table, generation, keys)
            remove_answers(connection, table, rivals, self._now)


def move(store: Store, url: str) -> None:
    """Note that what this home follows has another address now; its cursors are good for nothing.

    It is read from the start again, and nothing is missing meanwhile.
    """
    with store.write() as connection:
        stored = read_state(connection)
        if stored is not None:
            state = msgspec.structs.replace(_decode(stored).restarted(), url=url)
            swap_state(connection, stored, msgspec.json.encode(state).decode())


def state_of(store: Store, url: str) -> State | None:
    """Return where the follower of a deployment is; None when this home follows nothing.

    Raises:
        ConfigError: this home follows another deployment.
    """
    with store.read() as connection:
        stored = read_state(connection)
    return None if stored is None else _read(stored, url)


def echoes_in(connection: Connection, versions: Sequence[Version]) -> set[str]:
    """Return the documents that are refinements of ours, given back."""
    known = known_keys(connection, _keys_in(versions))
    return {
        version.source_id
        for version in versions
        if isinstance(version.record, ImportedAnswer) and _key_of(version.record) in known
    }


def follows(connection: Connection) -> str | None:
    """Return the address of the deployment that this home follows, or None."""
    stored = read_state(connection)
    return None if stored is None else _decode(stored).url


def _read(stored: str | None, url: str) -> State:
    state = State(url) if stored is None else _decode(stored)
    if state.url != url:
        message = f"this home follows {state.url}; use another home for {url}"
        raise ConfigError(f"{message}, or --moved if it is the same deployment")
    return state


def _decode(stored: str) -> State:
    try:
        return msgspec.json.decode(stored, type=State)
    except msgspec.MsgspecError as error:
        raise StoreError(f"what the store notes of Convex is damaged: {error}") from error


def _keys_in(versions: Iterable[Version]) -> list[str]:
    answers = (v.record for v in versions if isinstance(v.record, ImportedAnswer))
    return [key for answer in answers if (key := _key_of(answer))]


def _key_of(answer: ImportedAnswer) -> str | None:
    """Return the key under which a refinement was given back by a home such as this one."""
    key: Any = answer.extra.get("idempotencyKey")
    return key if isinstance(key, str) else None
