"""What the warehouse takes from one row of the store's `palette_tags`, in the order it is read."""

from typing import NamedTuple


class Answer(NamedTuple):
    """One answer or failure.

    Attributes:
        response_id: the row's id in the store.
        tags: JSON of the ten fields, as stored; broken JSON holds no facts.
        error_class: None when the answer counts.
        created_at: ISO 8601 with an offset.
        source: who asked: `own`, or the system that the row was imported from.
    """

    response_id: int
    seed: str
    provider: str
    model: str
    run_number: int
    prompt_version: str
    attempt: int
    batch_id: str
    tags: str | bytes | None
    error_class: str | None = None
    error: str | None = None
    response: str | None = None
    model_returned: str | None = None
    finish_reason: str | None = None
    parse_stage: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    created_at: str = "1970-01-01T00:00:00+00:00"
    source: str = "own"


_COLUMNS = ", ".join(("id", *Answer._fields[1:])).replace("tags", "CAST(tags AS TEXT)")

ANSWERS = f"SELECT {_COLUMNS} FROM palette_tags"  # noqa: S608 - names of ours
"""Reads all answers, on both databases. SQLite would give a JSON cell that is a number as one."""
