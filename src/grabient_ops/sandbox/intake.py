"""Reads a batch's input once, at its creation: is it sound, and which lines are refused."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from grabient_ops.sandbox.dialect import Dialect, JsonObject, Problem
from grabient_ops.sandbox.lifecycle import ANSWERED, REJECTED

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


def survey(blob: Path, dialect: Dialect, most_requests: int) -> Survey:
    """Validate an input blob line by line; memory holds one line, all ids and one byte per line."""
    found = Survey()
    seen: set[str] = set()
    digest = blake2b(digest_size=16)
    for number, raw in enumerate(read_lines(blob), start=1):
        found.fates += ANSWERED
        line = _admit(raw, dialect, found, seen)
        if isinstance(line, Problem):
            found.refuse(line, number)
            continue
        body = dialect.body(line)
        digest.update(orjson.dumps(body))
        if dialect.check(body):
            found.fates[-1:] = REJECTED
    found.digest = digest.hexdigest()
    _weigh(found, most_requests)
    return found


def read_lines(blob: Path) -> Iterator[bytes]:
    """The lines of a JSONL blob that hold anything; only a line feed ends a line."""
    with blob.open("rb") as file:
        yield from filter(bytes.strip, file)


def _admit(raw: bytes, dialect: Dialect, found: Survey, seen: set[str]) -> JsonObject | Problem:
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Problem("This line is not parseable as valid JSON.", "invalid_json_line")
    if not isinstance(line, dict):
        return Problem("This line is not a JSON object.", "invalid_json_line")
    problem = dialect.screen(line, found.model)
    if problem:
        return problem
    found.model = found.model or dialect.model(line)
    key = dialect.key(line)
    if key in seen:
        text = f"The custom_id '{key}' is used more than once; each must be unique in a batch."
        return Problem(text, "duplicate_custom_id", "custom_id")
    seen.add(key)
    return line


def _weigh(found: Survey, most_requests: int) -> None:
    if not found.fates:
        found.refuse(Problem("The input file is empty.", "empty_file"))
    if len(found.fates) > most_requests:
        text = f"The batch holds {len(found.fates)} requests; the limit is {most_requests}."
        found.refuse(Problem(text, "too_many_tasks"))
