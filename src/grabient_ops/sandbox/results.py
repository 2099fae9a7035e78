"""Writes result files, chunk by chunk: memory stays flat, however large the batch."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import orjson

from grabient_ops.sandbox.core import one_in_five
from grabient_ops.sandbox.dialect import JsonObject, Part, Place, Problem, Writer
from grabient_ops.sandbox.intake import Request, read_requests, read_schemas
from grabient_ops.sandbox.lifecycle import ANSWERED, MISSING, REJECTED, Progress
from grabient_ops.sandbox.personas.shape import Shape
from grabient_ops.sandbox.personas.talk import Answer, Tokens
from grabient_ops.sandbox.personas.voice import Question, Voice
from grabient_ops.sandbox.state import Batch

_CHUNK = 500
_ODD_REQUEST = Problem("Invalid value for this request.", "invalid_request_error")
_UNTIDY = frozenset({"anthropic", "google"})
_KEY = re.compile(rb'"(custom_id|key)":"')
_GARBAGE = b'{"id": "batch_req_0", "custom_id": "\xf0\x9f'

Line = tuple[int, Request]


def write_results(
    batch: Batch, seen: Progress, writer: Writer, digested: Path, part: Part, target: Path
) -> Tokens:
    """Write one result file; the same batch gives the same bytes every time.

    Args:
        batch: what was accepted.
        seen: where it ended.
        writer: the provider's form of a line.
        digested: what `intake.survey` wrote.
        part: which file.
        target: where to.

    Returns:
        The tokens of the answers in it; one that comes twice is counted once.
    """
    speaker = _Speaker(batch, seen, read_schemas(digested))
    with target.open("wb") as out:
        out.writelines(_chunks(batch, _Clerk(batch, seen, writer, speaker), digested, part))
    return speaker.tokens


def _chunks(batch: Batch, clerk: "_Clerk", digested: Path, part: Part) -> Iterator[bytes]:
    lines = enumerate(read_requests(digested))
    wanted = (line for line in lines if clerk.belongs(line[0], part))
    for number, chunk in enumerate(iter(lambda: list(islice(wanted, _CHUNK)), [])):
        rows = clerk.rows(chunk)
        if part != "errors":
            rows = _spoil(rows, batch, first=number == 0)
        yield b"\n".join(rows) + b"\n"


def billed_tokens(batch: Batch, seen: Progress, digested: Path) -> Tokens:
    """Add up the tokens of every answer that was produced so far.

    Args:
        batch: what was accepted.
        seen: how far it is.
        digested: what `intake.survey` wrote.
    """
    speaker = _Speaker(batch, seen, read_schemas(digested))
    lines = enumerate(read_requests(digested))
    for chunk in iter(lambda: list(islice(lines, _CHUNK)), []):
        speaker.answers(chunk)
    return speaker.tokens


class _Speaker:
    """Answers the requests of one batch, as far as they have an answer.

    Attributes:
        tokens: what all answers so far have cost.
    """

    def __init__(self, batch: Batch, seen: Progress, schemas: list[JsonObject]) -> None:
        self.tokens = Tokens()
        self._seen, self._batch = seen, batch
        self._voices: dict[str, Voice] = {}
        self._shapes = list(map(Shape, schemas))
        self._no_shape = Shape(None)

    def answers(self, chunk: list[Line]) -> dict[int, Answer]:
        """The answers to those requests that have one, by position."""
        asked: dict[str, list[Question]] = {}
        for index, request in chunk:
            if request.ask and self._is_answered(index):
                model = request.ask.model or self._batch.model
                question = (index, request.ask, self._shape(request.schema))
                asked.setdefault(model, []).append(question)
        found = {
            question[0]: answer
            for model, questions in asked.items()
            for question, answer in zip(
                questions, self._voice(model).answers(questions), strict=True
            )
        }
        for answer in found.values():
            self.tokens.add(answer)
        return found

    def _voice(self, model: str) -> Voice:
        if model not in self._voices:
            self._voices[model] = Voice(model, self._batch.salt)
        return self._voices[model]

    def _is_answered(self, index: int) -> bool:
        fate = self._batch.fates[index : index + 1]
        return index < self._seen.reached and fate == ANSWERED

    def _shape(self, schema: int | None) -> Shape:
        return self._no_shape if schema is None else self._shapes[schema]


class _Clerk:
    """Turns chunks of requests into result lines of one batch."""

    def __init__(self, batch: Batch, seen: Progress, writer: Writer, speaker: _Speaker) -> None:
        self._seen, self._writer, self._speaker = seen, writer, speaker
        self._fates = [batch.fates[i : i + 1] for i in range(batch.total)]
        self._tag, self._created = batch.id[-12:], int(batch.created_at)

    def belongs(self, index: int, part: Part) -> bool:
        """Whether a line's result is in this part at all."""
        if index >= self._seen.reached:
            return part != "output"
        fate = self._fates[index]
        if fate == MISSING:
            return False
        return part == "all" or (fate == ANSWERED) == (part == "output")

    def rows(self, chunk: list[Line]) -> list[bytes]:
        """One result line for each request, in order."""
        answers = self._speaker.answers(chunk)
        return [
            orjson.dumps(self._row(index, request, answers.get(index))) for index, request in chunk
        ]

    def _row(self, index: int, request: Request, answer: Answer | None) -> JsonObject:
        place = Place(self._tag, self._created, index)
        if answer is not None:
            return self._writer.answered(request.key, answer, place)
        if index >= self._seen.reached:
            return self._writer.unreached(request.key, self._seen.stage, place)
        if self._fates[index] == REJECTED:
            return self._writer.rejected(request.key, request.problem or _ODD_REQUEST, place)
        return self._writer.failed(request.key, place)


def _spoil(rows: list[bytes], batch: Batch, *, first: bool) -> list[bytes]:
    """Apply the faults that concern a file as a whole, chunk by chunk."""
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
    elif batch.provider in _UNTIDY and not batch.sent.get("inline"):
        for i in range(0, len(rows) - 1, 4):
            rows[i], rows[i + 1] = rows[i + 1], rows[i]
    return rows
