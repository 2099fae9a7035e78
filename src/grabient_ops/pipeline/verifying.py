"""Compares all that a followed deployment holds with what this home holds of it; mends nothing.

Both sides become short fingerprints in a temporary database, so that memory stays flat. What the
follower has not read yet is no difference: the changes since its cursor are read and set aside.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from sqlalchemy.engine import Connection

from grabient_ops.errors import InputError
from grabient_ops.importers.convex.documents import TABLES
from grabient_ops.importers.convex.http import Pause
from grabient_ops.importers.convex.stream import CursorExpiredError, Page, Stream
from grabient_ops.importers.values import (
    ImportedAnswer,
    ImportedBatch,
    ImportedPalette,
    ImportedPrompt,
)
from grabient_ops.pipeline.importing import Importer
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.syncing import echoes_in, state_of
from grabient_ops.store.mirror import SOURCE, mirrored_rows

Kind: TypeAlias = Literal["missing", "different", "extra"]
_EXAMPLES = 5
_READ_FIRST = "run `grabient-ops sync convex` first, then --verify"
_COMPARED = (
    "seed", "provider", "model", "prompt_version", "tags", "response", "error_class", "error",
    "input_tokens", "output_tokens", "source_digest", "source_prompt_versions", "input",
    "embed_text",
)  # fmt: skip
_SCHEMA = """
CREATE TABLE there (id TEXT PRIMARY KEY, name TEXT, ts INTEGER, key TEXT, print BLOB) WITHOUT ROWID;
CREATE TABLE here (name TEXT, key TEXT, id TEXT, print BLOB, known INTEGER,
    PRIMARY KEY (name, key)) WITHOUT ROWID;
CREATE TABLE unread (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE emptied (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE VIEW present AS SELECT * FROM there WHERE key IS NOT NULL;
CREATE VIEW found AS
SELECT name, 'missing' AS kind, id FROM present AS p
WHERE NOT EXISTS (SELECT 1 FROM here AS h WHERE h.name = p.name AND h.key = p.key)
UNION ALL
SELECT h.name, 'different', min(p.id) FROM here AS h JOIN present AS p
    ON h.name = p.name AND h.key = p.key
GROUP BY h.name, h.key HAVING NOT max(h.print = p.print)
UNION ALL
SELECT name, 'extra', id FROM here AS h
WHERE known AND NOT EXISTS (SELECT 1 FROM present AS p WHERE p.name = h.name AND p.key = h.key);
CREATE VIEW differences AS SELECT *, id IN (SELECT id FROM unread)
    OR name IN (SELECT name FROM emptied) AS is_unread FROM found;
CREATE INDEX there_by_key ON there (name, key);
"""
"""`key` is what a row is found by here; without one, nothing of the document belongs here."""


class TableVerdict(msgspec.Struct):
    """How one table compares.

    Attributes:
        there: documents that belong here.
        missing: of them, those that are not here.
        different: those that say something else here.
        extra: rows here whose document is not there.
        unread: differences that the follower has not read yet; these are none.
        examples: the first ids of each kind.
    """

    there: int = 0
    missing: int = 0
    different: int = 0
    extra: int = 0
    unread: int = 0
    examples: dict[Kind, list[str]] = {}

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.missing or self.different or self.extra)


class _Print(NamedTuple):
    """What a document or a row says: what it is found by, and a digest of the rest."""

    key: str
    digest: bytes


def verify(
    services: Services, stream: Stream, url: str, pause: Pause, show: Callable[[int], None]
) -> dict[str, TableVerdict]:
    """Read a deployment from the start, and return how each table compares.

    Args:
        services: the parts.
        stream: the deployment.
        url: its address, by which it is known again.
        pause: true once it is to end.
        show: called with the number of documents read so far.

    Raises:
        ConfigError: this home follows another deployment.
        InputError: what this home holds is not whole yet, or it was stopped.
        ProviderError: the deployment does not answer, or refuses to.
    """
    state = state_of(services.store, url)
    if state is None or state.cursor is None or state.due:
        raise InputError(f"what this home holds of {url} is not whole yet; {_READ_FIRST}")
    with (
        TemporaryDirectory(prefix="grabient-ops-") as folder,
        closing(_Comparison(services, Path(folder) / "compared.sqlite")) as comparison,
    ):
        count = 0
        for page in _pages(stream, None, pause):
            comparison.add_page(page)
            count += len(page.versions)
            show(count)
        try:
            for page in _pages(stream, state.cursor, pause):
                comparison.set_aside(page)
        except CursorExpiredError as error:
            raise InputError(f"this home is too far behind {url}; {_READ_FIRST}") from error
        with services.store.read() as connection:
            comparison.add_rows(connection)
        return comparison.verdicts()


def _pages(stream: Stream, cursor: str | None, pause: Pause) -> Iterator[Page]:
    while True:
        page = stream.page(cursor)
        yield page
        if page.is_current:
            return
        if pause(0):
            raise InputError("stopped before all was compared")
        cursor = page.cursor


class _Comparison:
    """Both sides, in a temporary database."""

    def __init__(self, services: Services, path: Path) -> None:
        self._services = services
        self._importer = Importer(services, SOURCE, dry_run=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def add_page(self, page: Page) -> None:
        """Take what a page says; of a document the newest version counts."""
        for table in page.truncated:
            self._db.execute("DELETE FROM there WHERE name = ?", (table,))
        with self._services.store.read() as connection:
            echoes = echoes_in(connection, page.versions)
        rows = []
        for version in page.versions:
            is_ours = version.source_id in echoes
            found = None if is_ours else self._print_of(version.record)
            key, digest = found or (None, None)
            rows.append((version.source_id, version.table, version.ts, key, digest))
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO there VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " ts = excluded.ts, key = excluded.key, print = excluded.print"
            " WHERE excluded.ts >= there.ts",
            rows,
        )
        self._db.execute("COMMIT")

    def set_aside(self, page: Page) -> None:
        """Note what the follower has yet to read."""
        ids = ((version.source_id,) for version in page.versions)
        self._db.executemany("INSERT OR IGNORE INTO unread VALUES (?)", ids)
        tables = ((table,) for table in page.truncated)
        self._db.executemany("INSERT OR IGNORE INTO emptied VALUES (?)", tables)

    def add_rows(self, connection: Connection) -> None:
        """Take what this home holds."""
        self._db.execute("BEGIN")
        for table in TABLES:
            rows = (
                (table, row.key, row.source_id, _digest(table, row.content), row.is_known)
                for row in mirrored_rows(connection, table)
            )
            self._db.executemany("INSERT INTO here VALUES (?, ?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def verdicts(self) -> dict[str, TableVerdict]:
        """Return how each table that has a row on either side compares."""
        counts = "SELECT name, count(*) FROM present GROUP BY name"
        verdicts = {name: TableVerdict(there=count) for name, count in self._db.execute(counts)}
        found = self._db.execute("SELECT * FROM differences ORDER BY name, kind, id")
        for name, kind, source_id, is_unread in found:
            verdict = verdicts.setdefault(name, TableVerdict())
            if is_unread:
                verdict.unread += 1
                continue
            setattr(verdict, kind, getattr(verdict, kind) + 1)
            examples = verdict.examples.setdefault(kind, [])
            if len(examples) < _EXAMPLES:
                examples.append(source_id)
        return {table: verdicts[table] for table in TABLES if table in verdicts}

    def _print_of(self, record: object) -> _Print | None:
        """Return what is expected here of a document, None where that is nothing."""
        match record:
            case ImportedPalette():
                return _Print(record.palette.seed, _digest("palettes", record.attributes))
            case ImportedPrompt():
                return _Print(record.version, _digest("prompt_versions", {}))
            case ImportedBatch():
                return _Print(record.source_id, _digest("tag_batches", record.document))
            case ImportedAnswer():
                row = self._importer.row(record, self._services.now())
                return _Print(record.source_id, _digest(record.place.table, row))
            case _:
                return None


def _digest(table: str, content: Mapping[str, Any]) -> bytes:
    """Tell contents apart; of answers what they say, not when and where they were stored."""
    if table in {"palette_tags", "palette_tag_refined"}:
        extra = content["source_extra"] or {}
        said = {name: content.get(name) for name in _COMPARED}
        content = {**said, "run": extra.get("movedFromRun", content["run_number"])}
    text = json.dumps(content, sort_keys=True).encode()
    return blake2b(text, digest_size=16).digest()
