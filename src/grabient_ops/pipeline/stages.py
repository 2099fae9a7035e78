"""The two stages of the pipeline, tagging and refinement: what is kept of an answer, and where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.batches import Batch
from grabient_ops.store.requests import list_inputs
from grabient_ops.store.responses import Row
from grabient_ops.store.tables import palette_tag_refined, palette_tags
from grabient_ops.tagging.answers import PARSER_VERSION, ParsedAnswer, parse_answer
from grabient_ops.tagging.embed_text import embed_text
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.refined import ParsedRefinement, parse_refinement
from grabient_ops.tagging.usage import Usage


@dataclass(frozen=True, slots=True)
class Stage:
    """How the answers of one kind of batch are kept.

    Attributes:
        table: where they go.
        topic: what the change feed calls them.
        read: (text, finish reason) -> the columns that hold what the parser makes of an answer.
        unread: the same columns for a request that has no answer.
    """

    table: sa.Table
    topic: Literal["responses", "refinements"]
    read: Callable[[str, str | None], Row]
    unread: Mapping[str, None]

    def failure(self, error_class: str, message: str | None) -> Row:
        """Return the columns of a request that has no answer."""
        return {
            **self.unread,
            "response": None,
            "model_returned": None,
            "finish_reason": None,
            "error_class": error_class,
            "error": message,
        }

    def add_shown(
        self, connection: Connection, batch: Batch, rows: Sequence[Row], positions: Sequence[int]
    ) -> None:
        """Complete rows by what the model was shown: what it saw is what is kept.

        Args:
            connection: an open transaction.
            batch: whose rows these are.
            rows: columns are added to them.
            positions: of the rows' requests in the batch.
        """
        if self.table is not palette_tag_refined:
            return
        inputs = list_inputs(connection, batch.id, positions)
        sources = (batch.options or {}).get("sources", [])
        for row, position in zip(rows, positions, strict=True):
            row["input"] = inputs[position]
            row["source_prompt_versions"] = sources


def read_answer(text: str, finish_reason: str | None) -> Row:
    """Return what the parser makes of a tagging answer, as columns of `palette_tags`."""
    parsed = parse_answer(text, finish_reason)
    row = _parsed(parsed)
    if parsed.tags is not None and not any(parsed.tags.values()):
        # Ten well-formed fields without a single word describe nothing: worth another try.
        error_class = str(ErrorClass.UNPARSABLE)
        row |= {"tags": None, "error_class": error_class, "error": "all ten fields are empty"}
    return row


def read_refinement(text: str, finish_reason: str | None) -> Row:
    """Return what the parser makes of a refinement, as columns of `palette_tag_refined`."""
    parsed = parse_refinement(text, finish_reason)
    return {
        **_parsed(parsed),
        "dropped": parsed.dropped or None,
        "sentence": parsed.sentence,
        "embed_text": None if parsed.tags is None else embed_text(parsed.tags),
    }


def _parsed(parsed: ParsedAnswer | ParsedRefinement) -> Row:
    return {
        "tags": parsed.tags,
        "error_class": None if parsed.error_class is None else str(parsed.error_class),
        "error": parsed.error,
        "parse_stage": str(parsed.stage),
        "parser_version": PARSER_VERSION,
        "ambiguous": list(parsed.ambiguous) or None,
    }


_UNREAD: dict[str, None] = dict.fromkeys(("tags", "parse_stage", "parser_version", "ambiguous"))
STAGES: Mapping[str, Stage] = {
    "tagging": Stage(palette_tags, "responses", read_answer, _UNREAD),
    "refinement": Stage(
        palette_tag_refined,
        "refinements",
        read_refinement,
        {**_UNREAD, **dict.fromkeys(("dropped", "sentence", "embed_text"))},
    ),
}


def stage_of(batch: Batch) -> Stage:
    """Return the stage that a batch belongs to."""
    return STAGES[batch.kind]


def billed(usage: Usage, cost: int | None) -> Row:
    """Return the columns that hold what an answer has used and cost."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost": cost,
    }
