"""Stores the lines of result files exactly once, a thousand per transaction.

Each transaction also moves the batch's cursor. After a crash the files are read again from the
start: lines up to the cursor only tell which ids have been seen, the others are stored. A file that
was downloaded again may have another order, so a line whose request is still open is always stored.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple, assert_never

from sqlalchemy.exc import IntegrityError

from grabient_ops.errors import GrabientError
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.stages import billed, stage_of
from grabient_ops.providers.base import Answered, Failed, Unreadable
from grabient_ops.providers.catalog import Prices
from grabient_ops.store.batches import update_batch
from grabient_ops.store.changes import announce
from grabient_ops.store.requests import Request, close_requests, list_requests
from grabient_ops.store.responses import (
    Row,
    StrayLine,
    append_responses,
    store_responses,
    store_strays,
)
from grabient_ops.tagging.usage import Usage

_LINES_PER_TRANSACTION = 1000
_LONGEST_LINE = 16 << 20
_LONGEST_KEPT = 1 << 20
_PROOF_LINES = 1000
_POSITION = re.compile(r"0|[1-9][0-9]{0,8}")


class ForeignBatchError(GrabientError):
    """The batch that was adopted on time and size alone is somebody else's."""


class _Line(NamedTuple):
    file_index: int
    file: str
    number: int
    raw: bytes

    @property
    def place(self) -> tuple[int, int]:
        """Where the line stands among those of all files; the cursor is such a place."""
        return self.file_index, self.number


class _Chunk:
    """What one transaction will write."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.closed: dict[str, list[int]] = {"succeeded": [], "failed": []}
        self.strays: list[StrayLine] = []
        self.positions: list[int] = []
        self.by_seed: dict[str, _Line] = {}


class Ingest:
    """One collection of one batch."""

    def __init__(self, services: Services, batch_id: str) -> None:
        self._services = services
        self._batch = services.batch(batch_id)
        self._stage = stage_of(self._batch)
        self._prices: dict[str | None, Prices | None] = {}
        self._read = services.provider_of(self._batch).read
        self._seen: set[int] = set()
        self._requests: dict[int, Request] = {}
        self._same = self._batch.same()
        file_index, number = self._batch.collect_cursor or (0, 0)
        self._cursor = (file_index, number)

    def run(self, paths: Sequence[Path]) -> None:
        """Store the lines of all files, in order.

        Raises:
            ForeignBatchError: no line carries an id of this batch, and its adoption was unproven.
        """
        if not self._batch.is_proven:
            self._prove(paths)
        with self._services.store.read() as connection:
            requests = list_requests(connection, self._batch.id)
        self._requests = {request.position: request for request in requests}
        stored = self._cursor
        lines = _lines_of(paths)
        while chunk := list(islice(lines, _LINES_PER_TRANSACTION)):
            fresh = [line for line in chunk if line.place > stored or self._was_passed_over(line)]
            if fresh:
                self._store(fresh)

    def _prove(self, paths: Sequence[Path]) -> None:
        """A batch found by time and size alone is ours if a result carries one of our ids."""
        results = [self._read(line.raw) for line in islice(_lines_of(paths), _PROOF_LINES)]
        ids = [result.custom_id for result in results if not isinstance(result, Unreadable)]
        if ids and all(self._position(custom_id) is None for custom_id in ids):
            raise ForeignBatchError(
                f"{self._batch.provider_batch_id} is not batch {self._batch.id}"
            )
        self._services.update(self._batch.id, is_proven=True)

    def _was_passed_over(self, line: _Line) -> bool:
        """Whether a line up to the cursor has not been stored; one that has counts as seen."""
        result = self._read(line.raw)
        position = None if isinstance(result, Unreadable) else self._position(result.custom_id)
        if position is None:
            return False
        if self._requests[position].state == "open":
            return True
        self._seen.add(position)
        return False

    def _position(self, custom_id: str) -> int | None:
        """Return the position of a request of this batch; None for any other id."""
        prefix, _, tail = custom_id.rpartition("-")
        if prefix != self._batch.id or not _POSITION.fullmatch(tail):
            return None
        position = int(tail)
        return position if position < self._batch.request_count else None

    def _store(self, lines: Sequence[_Line]) -> None:
        now = self._services.now()
        chunk = _Chunk()
        for line in lines:
            self._sort_in(chunk, line, now)
        try:
            self._write(chunk, lines[-1], now)
        except IntegrityError:
            # So rare that going again costs less than a savepoint in every transaction, for which
            # SQLite copies each page before it is changed.
            self._write(chunk, lines[-1], now, expect_surplus=True)

    def _write(
        self, chunk: _Chunk, last: _Line, now: datetime, *, expect_surplus: bool = False
    ) -> None:
        surplus: set[str] = set()
        with self._services.store.write() as connection:
            self._stage.add_shown(connection, self._batch, chunk.rows, chunk.positions)
            if expect_surplus:
                surplus = store_responses(connection, self._stage.table, self._same, chunk.rows)
            else:
                append_responses(connection, self._stage.table, chunk.rows)
            # The first success keeps the vote; what was paid for the second is kept beside it.
            reason = "the request had been answered before"
            chunk.strays += [self._stray(chunk.by_seed[s], "duplicate", reason) for s in surplus]
            for state, positions in chunk.closed.items():
                close_requests(connection, self._batch.id, positions, state)
            store_strays(connection, chunk.strays, now)
            self._cursor = max(self._cursor, last.place)
            update_batch(connection, self._batch.id, now, collect_cursor=list(self._cursor))
            announce(connection, self._stage.topic, [self._batch.id], now)

    def _sort_in(self, chunk: _Chunk, line: _Line, now: datetime) -> None:
        result = self._read(line.raw)
        if isinstance(result, Unreadable):
            chunk.strays.append(self._stray(line, "unreadable", result.reason))
            return
        position = self._position(result.custom_id)
        if position is None:
            chunk.strays.append(self._stray(line, "unknown", f"unknown id {result.custom_id!r}"))
        elif position in self._seen:
            chunk.strays.append(self._stray(line, "duplicate", "a second line for one request"))
        else:
            self._seen.add(position)
            self._take(chunk, line, result, now, self._requests[position])

    def _take(
        self, chunk: _Chunk, line: _Line, result: Answered | Failed, now: datetime, request: Request
    ) -> None:
        """Take the first line for a request, unless an earlier collection of the files did so."""
        if request.state == "open":
            row = self._row(result, request, now)
            chunk.rows.append(row)
            chunk.positions.append(request.position)
            outcome = "succeeded" if row["error_class"] is None else "failed"
            chunk.closed[outcome].append(request.position)
            chunk.by_seed[request.seed] = line
        elif request.state not in {"succeeded", "failed"}:
            reason = f"came late: the request was {request.state} and has been asked again"
            chunk.strays.append(self._stray(line, "late", reason))

    def _row(self, result: Answered | Failed, request: Request, now: datetime) -> Row:
        row: Row = {
            **self._same,
            "seed": request.seed,
            "attempt": request.attempt,
            "batch_id": self._batch.id,
            "excused": False,
            "created_at": now,
        }
        match result:
            case Answered():
                row |= self._stage.read(result.text, result.finish_reason)
                row |= billed(result.usage, self._cost(result.usage, result.model_returned))
                row["response"] = result.text
                row["model_returned"] = result.model_returned
                row["finish_reason"] = result.finish_reason
            case Failed():
                row |= self._stage.failure(str(result.error_class), result.message)
                row |= billed(result.usage, self._cost(result.usage, None))
            case _:
                assert_never(result)
        return row

    def _cost(self, usage: Usage, returned: str | None) -> int | None:
        """Price by the model that answered: providers route retired ones to others."""
        if returned not in self._prices:
            prices = self._services.catalog.prices
            self._prices[returned] = prices(self._batch.provider, self._batch.model, returned)
        known = self._prices[returned]
        return None if known is None else known.batch_cost(usage)

    def _stray(self, line: _Line, kind: str, reason: str) -> StrayLine:
        return StrayLine(
            self._batch.id, line.file, line.number, kind, reason, line.raw[:_LONGEST_KEPT]
        )


def _lines_of(paths: Sequence[Path]) -> Iterator[_Line]:
    """Yield the non-blank lines of all files; a line past 16 MiB is cut there."""
    for index, path in enumerate(paths):
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(_LONGEST_LINE):
                number += 1
                piece = raw
                while len(piece) == _LONGEST_LINE and not piece.endswith(b"\n"):
                    piece = file.readline(_LONGEST_LINE)
                if not raw.isspace():
                    yield _Line(index, path.stem, number, raw)
