"""Result files, made while they are read: nothing but the input is stored, memory stays flat."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

import orjson

from grabient_ops.sandbox.core import one_in_five
from grabient_ops.sandbox.dialect import Dialect, JsonObject, Maker, Problem
from grabient_ops.sandbox.intake import read_lines
from grabient_ops.sandbox.lifecycle import ANSWERED, MISSING, REJECTED, Progress
from grabient_ops.sandbox.personas.voice import Answer, Voice
from grabient_ops.sandbox.state import Batch

Part = Literal["output", "errors", "all"]
"""OpenAI and Groq split answers from errors; Anthropic and Gemini do not."""

_CHUNK = 500
_ODD_REQUEST = Problem("Invalid value for this request.", "invalid_request_error")
_UNTIDY = frozenset({"anthropic", "google"})
_KEY = re.compile(rb'"(custom_id|key)":"')
_GARBAGE = b'{"id": "batch_req_0", "custom_id": "\xf0\x9f'

Line = tuple[int, JsonObject]


def result_chunks(
    batch: Batch, seen: Progress, dialect: Dialect, blob: Path, part: Part
) -> Iterator[bytes]:
    """Yield the bytes of one result file in pieces of whole lines.

    The same batch gives the same bytes every time. `seen` must be an ended stage.
    """
    maker = _ResultMaker(batch, seen, dialect)
    lines = enumerate(map(orjson.loads, read_lines(blob)))
    wanted = (line for line in lines if maker.belongs(line[0], part))
    for number, chunk in enumerate(iter(lambda: list(islice(wanted, _CHUNK)), [])):
        rows = maker.rows(chunk)
        if part != "errors":
            rows = _spoil(rows, batch, first=number == 0)
        yield b"".join(row + b"\n" for row in rows)


class _ResultMaker:
    """Turns chunks of input lines into result lines of one batch."""

    def __init__(self, batch: Batch, seen: Progress, dialect: Dialect) -> None:
        self._batch, self._seen, self._dialect = batch, seen, dialect
        self._voice = Voice(batch.model, batch.salt)

    def _fate(self, index: int) -> bytes:
        return self._batch.fates[index : index + 1]

    def belongs(self, index: int, part: Part) -> bool:
        """Whether a line's result is in this part at all."""
        if index >= self._seen.reached:
            return part != "output"
        fate = self._fate(index)
        if fate == MISSING:
            return False
        return part == "all" or (fate == ANSWERED) == (part == "output")

    def rows(self, chunk: list[Line]) -> list[bytes]:
        """One result line for each input line, in order."""
        bodies = {i: self._dialect.body(line) for i, line in chunk if self._is_answered(i)}
        asks = [(i, self._dialect.ask(body)) for i, body in bodies.items()]
        answers = dict(zip(bodies, self._voice.answers(asks), strict=True))
        return [orjson.dumps(self._row(i, line, answers.get(i))) for i, line in chunk]

    def _is_answered(self, index: int) -> bool:
        return index < self._seen.reached and self._fate(index) == ANSWERED

    def _row(self, index: int, line: JsonObject, answer: Answer | None) -> JsonObject:
        dialect, key = self._dialect, self._dialect.key(line)
        maker = Maker(self._batch.id, self._batch.model, int(self._batch.created_at), index)
        if answer is not None:
            return dialect.answered(key, answer, maker)
        if index >= self._seen.reached:
            return dialect.unreached(key, self._seen.stage, maker)
        if self._fate(index) == REJECTED:
            problem = dialect.check(dialect.body(line)) or _ODD_REQUEST
            return dialect.rejected(key, problem, maker)
        return dialect.failed(key, maker)


def _spoil(rows: list[bytes], batch: Batch, *, first: bool) -> list[bytes]:
    faults = batch.faults
    if "unknown_ids" in faults and first:
        rows += [_KEY.sub(rb"\g<0>nobody-", row, count=1) for row in rows[:2]]
    if "duplicate_ids" in faults:
        rows += [row for i, row in enumerate(rows) if one_in_five(i, len(rows))]
    if "malformed_line" in faults and first:
        rows[:1] = [row[: len(row) // 2] for row in rows[:1]]
        rows.append(_GARBAGE)
    if "reorder" in faults:
        Random(batch.salt).shuffle(rows)  # noqa: S311 - a repeatable disorder, not a secret
    elif batch.provider in _UNTIDY:
        for i in range(0, len(rows) - 1, 4):
            rows[i], rows[i + 1] = rows[i + 1], rows[i]
    return rows
