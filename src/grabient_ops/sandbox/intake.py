"""Reads a batch's input once, at its creation, and keeps what its results will need."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from grabient_ops.sandbox.dialect import JsonObject, Problem, Reader
from grabient_ops.sandbox.lifecycle import ANSWERED, REJECTED
from grabient_ops.sandbox.personas.talk import Ask

_MOST_PROBLEMS = 20


@dataclass(slots=True)
class Survey:
    """What the input holds.

    Attributes:
        fates: one letter per line, see `lifecycle`; refused lines are already marked.
        model: what the first line asks for, where lines name a model.
        digest: hex digest of all requests without their ids: equal for equal questions.
        problems: why the file as a whole is refused, with 1-based line numbers; the first few.
    """

    fates: bytearray = field(default_factory=bytearray)
    model: str | None = None
    digest: str = ""
    problems: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, problem: Problem, line: int | None = None) -> None:
        """Note a reason against the whole file."""
        if len(self.problems) < _MOST_PROBLEMS:
            fields = {"code": problem.code, "message": problem.message, "param": problem.param}
            self.problems.append(fields | {"line": line})


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the input, reduced to what a result needs.

    Attributes:
        schema: position of its JSON schema among the batch's; None when it has none.
    """

    key: str
    ask: Ask | None
    problem: Problem | None
    schema: int | None


def survey(blob: Path, reader: Reader, most_requests: int, digest_to: Path) -> Survey:
    """Validate an input blob line by line and write its requests, reduced, to `digest_to`.

    Memory holds one line, all ids and one byte per line.
    """
    with digest_to.open("wb") as out:
        surveyor = _Surveyor(reader, out)
        for number, raw in enumerate(_lines(blob), start=1):
            surveyor.take(number, raw)
    _schemas_beside(digest_to).write_bytes(orjson.dumps(list(map(orjson.loads, surveyor.schemas))))
    found = surveyor.found
    found.digest = surveyor.digest.hexdigest()
    _weigh(found, most_requests)
    return found


def read_requests(digested: Path) -> Iterator[Request]:
    """Read back what `survey` wrote."""
    with digested.open("rb") as file:
        for line in file:
            row = orjson.loads(line)
            ask, problem = row["ask"], row["problem"]
            yield Request(
                row["key"],
                Ask(**ask) if ask else None,
                Problem(**problem) if problem else None,
                row["schema"],
            )


def read_schemas(digested: Path) -> list[JsonObject]:
    """The distinct JSON schemas of a batch."""
    schemas: list[JsonObject] = orjson.loads(_schemas_beside(digested).read_bytes())
    return schemas


class _Surveyor:
    """Takes one line after the other."""

    def __init__(self, reader: Reader, out: BinaryIO) -> None:
        self.found = Survey()
        self.digest = blake2b(digest_size=16)
        self.schemas: dict[bytes, int] = {}
        self._reader, self._out = reader, out
        self._seen: set[str] = set()

    def take(self, number: int, raw: bytes) -> None:
        """Judge a line and write it down."""
        self.found.fates += ANSWERED
        line = self._admit(raw)
        if isinstance(line, Problem):
            self.found.refuse(line, number)
            return
        reader, body = self._reader, self._reader.body(line)
        self.digest.update(orjson.dumps(body))
        problem = reader.check(body)
        if problem:
            self.found.fates[-1:] = REJECTED
            request = Request(reader.key(line), None, problem, None)
        else:
            schema = self._schema(reader.schema(body))
            request = Request(reader.key(line), reader.ask(body), None, schema)
        self._out.write(orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE))

    def _admit(self, raw: bytes) -> JsonObject | Problem:
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return Problem("This line is not parseable as valid JSON.", "invalid_json_line")
        if not isinstance(line, dict):
            return Problem("This line is not a JSON object.", "invalid_json_line")
        problem = self._reader.screen(line, self.found.model)
        if problem:
            return problem
        self.found.model = self.found.model or self._reader.model(line)
        key = self._reader.key(line)
        if key in self._seen:
            text = f"The custom_id '{key}' is used more than once; it must be unique in a batch."
            return Problem(text, "duplicate_custom_id", "custom_id")
        self._seen.add(key)
        return line

    def _schema(self, schema: JsonObject | None) -> int | None:
        if schema is None:
            return None
        return self.schemas.setdefault(orjson.dumps(schema), len(self.schemas))


def _lines(blob: Path) -> Iterator[bytes]:
    """The lines that hold anything; only a line feed ends a line."""
    with blob.open("rb") as file:
        yield from filter(bytes.strip, file)


def _schemas_beside(digested: Path) -> Path:
    return digested.with_name(digested.name + ".schemas")


def _weigh(found: Survey, most_requests: int) -> None:
    if not found.fates:
        found.refuse(Problem("The input file is empty.", "empty_file"))
    if len(found.fates) > most_requests:
        text = f"The batch holds {len(found.fates)} requests; the limit is {most_requests}."
        found.refuse(Problem(text, "too_many_tasks"))
