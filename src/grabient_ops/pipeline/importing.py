"""Takes over what another system holds: in transactions of a thousand rows, as often as wanted.

Every row is imported, updated, already there, left out by the operator's rule, or refused with its
reason; the report counts them all. A crash costs the rows of one transaction, which the next import
finds missing.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import reduce
from itertools import groupby
from typing import Any, assert_never

from sqlalchemy.engine import Connection

from grabient_ops.importers.values import (
    Doubtful,
    ImportedAnswer,
    ImportedBatch,
    ImportedPalette,
    ImportedPrompt,
    LeftOut,
    Passed,
    Progressed,
    Record,
    Refused,
    Source,
)
from grabient_ops.palettes.seed import coeff_key
from grabient_ops.pipeline.import_report import ImportReport
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.stages import STAGES, billed
from grabient_ops.store.changes import announce
from grabient_ops.store.imports import (
    SourcePalette,
    Stored,
    store_answers,
    store_batches,
    store_palettes,
    store_prompt,
)
from grabient_ops.store.locks import lock
from grabient_ops.store.palettes import NewPalette
from grabient_ops.store.prompts import PromptVersion
from grabient_ops.store.responses import Row

_ROWS_PER_TRANSACTION = 1000
_TEXT_PER_TRANSACTION = 8 << 20
"""Rows may be a thousand times longer than usual; they are held in memory until they are stored."""

_MOST_LABELS = 10_000
_ROWS_PER_BATCH = 20_000

Kept = ImportedPalette | ImportedPrompt | ImportedAnswer | ImportedBatch
OnProgress = Callable[[Progressed], None]


class Importer:
    """One import.

    Args:
        services: the parts.
        source: where all records come from.
        dry_run: only count; what comes twice in the file is then counted twice.
        rows_per_batch: the warehouse reads a batch anew whenever it grows.
    """

    def __init__(
        self,
        services: Services,
        source: Source,
        *,
        dry_run: bool = False,
        rows_per_batch: int = _ROWS_PER_BATCH,
    ) -> None:
        self._services = services
        self._source = source
        self._dry_run = dry_run
        self._rows_per_batch = rows_per_batch
        self._token = secrets.token_hex(4)
        self._answers = 0
        self._labelled: set[str] = set()
        self._models = {(model.provider, model.id) for model in services.catalog.models}
        self.report = ImportReport(source, dry_run=dry_run)

    def run(self, records: Iterable[Record], on_progress: OnProgress) -> ImportReport:
        """Store records, in the order in which they come."""
        waiting: list[Kept] = []
        text = 0
        for record in records:
            if isinstance(record, Kept):
                waiting.append(record)
                text += _text_of(record)
                if len(waiting) == _ROWS_PER_TRANSACTION or text > _TEXT_PER_TRANSACTION:
                    self.store(waiting)
                    waiting, text = [], 0
            else:
                self._note(record, on_progress)
        if waiting:
            self.store(waiting)
        return self.report

    def _note(
        self, record: LeftOut | Refused | Doubtful | Passed | Progressed, on_progress: OnProgress
    ) -> None:
        match record:
            case LeftOut():
                self.report.leave_out(record.place.table)
            case Refused():
                self.report.refuse(record)
            case Doubtful():
                self.report.doubt(record)
            case Passed():
                self.report.passed.append(record)
            case Progressed():
                on_progress(record)
            case _:
                assert_never(record)

    def store(
        self, records: Sequence[Kept], also: Callable[[Connection], None] | None = None
    ) -> None:
        """Store records of whatever kind in one transaction; the report follows its commit.

        Args:
            records: at most so many as memory and one transaction can take.
            also: what else belongs into the transaction, such as how far a source has been read;
                it comes first, so that what it removes is in nobody's way.
        """
        now = self._services.now()
        done: list[tuple[str, int, Stored]] = []
        with self._services.store.write() as connection:
            # Two imports at once would number each other's rows.
            lock(connection, "imports")
            if also:
                also(connection)
            for (kind, table), group in groupby(records, key=lambda r: (type(r), r.place.table)):
                rows = list(group)
                done.append((table, len(rows), self._store_alike(connection, kind, rows, now)))
            if self._dry_run:
                connection.rollback()
        for table, count, stored in done:
            self.report.add(table, count, stored)
        for record in records:
            if isinstance(record, ImportedAnswer):
                self._note_model(record)

    def _note_model(self, answer: ImportedAnswer) -> None:
        if (answer.provider, answer.model) not in self._models:
            self.report.note_unknown_model(answer.provider, answer.model)

    def _store_alike(
        self, connection: Connection, kind: type, rows: Sequence[Any], now: datetime
    ) -> Stored:
        """Store records of one kind, which come from one table."""
        if kind is ImportedPalette:
            return self._store_palettes(connection, rows, now)
        if kind is ImportedPrompt:
            return reduce(_sum, [self._store_prompt(connection, row, now) for row in rows])
        if kind is ImportedBatch:
            return self._store_batches(connection, rows, now)
        return self._store_answers(connection, rows, now)

    def _store_palettes(
        self, connection: Connection, found: Sequence[ImportedPalette], now: datetime
    ) -> Stored:
        rows = [
            SourcePalette(
                NewPalette(
                    item.palette.seed, item.palette.format, coeff_key(item.palette), self._source
                ),
                item.attributes,
                item.created_at or now,
            )
            for item in found
        ]
        return store_palettes(connection, self._source, rows, now)

    def _store_prompt(self, connection: Connection, found: ImportedPrompt, now: datetime) -> Stored:
        prompt = PromptVersion(
            found.version, found.kind, found.content, found.message, found.created_at or now
        )
        return store_prompt(connection, prompt)

    def _store_batches(
        self, connection: Connection, found: Sequence[ImportedBatch], now: datetime
    ) -> Stored:
        rows = [
            {
                "source": self._source, "source_id": item.source_id, "kind": item.kind,
                "document": item.document, "created_at": now,
            }
            for item in found
        ]  # fmt: skip
        return store_batches(connection, rows)

    def _store_answers(
        self, connection: Connection, found: Sequence[ImportedAnswer], now: datetime
    ) -> Stored:
        kind = "refinement" if found[0].refinement else "tagging"
        stage = STAGES[kind]
        rows = [self.row(item, now) for item in found]
        self._label_prompts(connection, rows, kind, now)
        stored = store_answers(connection, stage.table, self._source, rows)
        announce(connection, stage.topic, sorted(stored.batches), now)
        self._answers += stored.imported + stored.updated
        return stored

    def _label_prompts(
        self, connection: Connection, rows: Sequence[Row], kind: str, now: datetime
    ) -> None:
        """Register the versions that no text is known of: they stay apart, and cannot be asked."""
        if len(self._labelled) > _MOST_LABELS:
            self._labelled.clear()
        for version in sorted({row["prompt_version"] for row in rows} - self._labelled):
            message = f"imported from {self._source}, text unknown"
            store_prompt(connection, PromptVersion(version, kind, "", message, now))
            self._labelled.add(version)

    def row(self, item: ImportedAnswer, now: datetime) -> Row:
        """Return an answer as its table holds it, but for the attempt."""
        row: Row = {
            "seed": item.seed,
            "provider": item.provider,
            "model": item.model,
            "model_returned": None,
            "run_number": item.run_number,
            "prompt_version": item.prompt_version or self._unknown_version(item),
            "batch_id": f"{self._source}-{self._token}-{self._answers // self._rows_per_batch + 1}",
            "tags": item.tags,
            "response": item.response,
            "error_class": None if item.error_class is None else str(item.error_class),
            "error": item.error,
            "excused": False,
            "finish_reason": None,
            "parse_stage": None,
            "parser_version": None,
            "ambiguous": list(item.ambiguous) or None,
            **billed(item.usage, None),
            "created_at": item.created_at or now,
            "source": self._source,
            "source_id": item.source_id,
            "source_digest": item.digest,
            "source_extra": item.extra or None,
        }
        if item.refinement:
            row |= {
                "source_prompt_versions": item.refinement.source_prompt_versions,
                "input": item.refinement.input,
                "dropped": None,
                "sentence": None,
                "embed_text": item.refinement.embed_text,
            }
        return row

    def _unknown_version(self, item: ImportedAnswer) -> str:
        return f"unknown-{self._source}{'-refinement' if item.refinement else ''}"


def _text_of(record: Kept) -> int:
    """Return about how many characters a record holds."""
    match record:
        case ImportedAnswer():
            shown = record.refinement.input if record.refinement else ""
            texts = (record.response, record.error, shown, str(record.extra))
            return sum(len(text or "") for text in texts)
        case ImportedPrompt():
            return len(record.content)
        case ImportedPalette():
            return len(str(record.attributes))
        case ImportedBatch():
            return len(str(record.document))
        case _:
            assert_never(record)


def _sum(one: Stored, other: Stored) -> Stored:
    return Stored(
        one.imported + other.imported,
        one.updated + other.updated,
        one.already_there + other.already_there,
    )
