"""Collects answers and their facts in DuckDB until they fill a segment, then writes its two files.

Pages go in as NumPy columns, which is many times faster than rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.dictionary import Dictionary, Key
from grabient_ops.analytics.facts import Facts, Integers, Spellings, distinct, explode
from grabient_ops.analytics.manifest import DictionaryName, Manifest, Segment, to_ranges
from grabient_ops.analytics.parquet import copy
from grabient_ops.analytics.warehouse import DICTIONARIES, FACTS, RESPONSES
from grabient_ops.tagging.vocabulary import FIELDS

ROWS_PER_SEGMENT = 131_072
"""Answers in one segment at most; bounds memory, and the time that merging segments takes."""

FACTS_ORDER = "prompt_id, palette_id, response_id"
RESPONSES_ORDER = "response_id"

_RESPONSES_TABLE = RESPONSES | {"created_at": "VARCHAR", "batch_no": "INTEGER"}
_FACTS_TABLE = {
    "response_id": "BIGINT",
    "category": "UTINYINT",
    "tag_id": "INTEGER",
    "spelling": "INTEGER",
    "position": "INTEGER",
}
_NUMPY_TYPES: Mapping[str, type[np.generic]] = {"VARCHAR": np.object_, "BOOLEAN": np.bool_}


def _create(table: str, columns: Mapping[str, str]) -> str:
    return f"CREATE TABLE {table} ({', '.join(map(' '.join, columns.items()))});"


_PREPARE = f"""
SET pandas_analyze_sample = 0; -- columns of objects are texts, nothing to guess
{_create("new_responses", _RESPONSES_TABLE)}
{_create("new_facts", _FACTS_TABLE)}
{_create("spellings", {"spelling": "INTEGER", "given": "VARCHAR"})}
"""
_RESPONSES = f"""
FROM (FROM new_responses
      SELECT * REPLACE (try_cast(created_at AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS created_at))
SELECT {", ".join(RESPONSES)}, batch_no
ORDER BY {RESPONSES_ORDER}"""
_FACTS = f"""
FROM (FROM new_facts SELECT * REPLACE ({list(FIELDS)}[category + 1] AS category))
JOIN new_responses USING (response_id)
LEFT JOIN spellings USING (spelling)
SELECT {", ".join(FACTS)}, batch_no
ORDER BY {FACTS_ORDER}"""


class Staging:
    """What is to be added to a lake.

    Args:
        connection: an in-memory DuckDB of its own.
        lake: the folder.
        manifest: the generation to add to.
        token: what the names of new files end in.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, lake: Path, manifest: Manifest, token: str
    ) -> None:
        self._connection = connection
        self._lake = lake
        self._token = token
        self._spellings = Spellings()
        self._tag_of: Integers = np.empty(0, dtype=np.int64)
        self._batches: set[int] = set()
        self._rows = 0
        self.dictionaries: dict[DictionaryName, Dictionary] = {
            name: Dictionary(connection, lake, manifest, name) for name in DICTIONARIES
        }
        self.segments: list[Segment] = []
        connection.execute(_PREPARE)

    def add(self, answers: Sequence[Answer]) -> None:
        """Add some answers; a page of 10,000 is a good size."""
        facts = explode(
            (a.tags if a.error_class is None else None for a in answers), self._spellings
        )
        self._number_spellings()
        self._insert_facts(answers, distinct(facts, self._tag_of))
        self._insert_responses(answers)
        self._rows += len(answers)
        if self._rows >= ROWS_PER_SEGMENT:
            self.flush()

    def flush(self) -> None:
        """Write what was collected as a segment."""
        if not self._rows:
            return
        name = f"{len(self.segments)}-{self._token}.parquet"
        segment = Segment(
            f"responses-{name}", f"facts-{name}", self._rows, to_ranges(self._batches)
        )
        copy(self._connection, _RESPONSES, self._lake / segment.responses)
        copy(self._connection, _FACTS, self._lake / segment.facts)
        self._connection.execute("DELETE FROM new_responses; DELETE FROM new_facts;")
        self.segments.append(segment)
        self._batches.clear()
        self._rows = 0

    def _number_spellings(self) -> None:
        """Give the tags of new spellings their ids."""
        known, tags = len(self._tag_of), self._spellings.tags
        fresh = tags[known:]
        ids = self.dictionaries["tags"].resolve((tag,) for tag in fresh if tag)
        numbers = [ids[tag,] if tag else -1 for tag in fresh]
        self._tag_of = np.concatenate([self._tag_of, np.array(numbers, dtype=np.int64)])
        given = self._spellings.given[known:]
        numbered = np.arange(known, len(tags))
        self._insert("spellings", {"spelling": numbered, "given": np.array(given, dtype=object)})

    def _insert_facts(self, answers: Sequence[Answer], facts: Facts) -> None:
        ids = np.array([answer.response_id for answer in answers], dtype=np.int64)
        columns = (ids[facts.answer], facts.category, self._tag_of[facts.spelling], *facts[2:])
        self._insert("new_facts", dict(zip(_FACTS_TABLE, columns, strict=True)))

    def _insert_responses(self, answers: Sequence[Answer]) -> None:
        numbers = self._numbers_of(answers)
        self._batches.update(numbers["batch_no"])
        made = {**numbers, "ok": [answer.error_class is None for answer in answers]}
        given = dict(zip(Answer._fields, zip(*answers, strict=True), strict=True))
        page = {
            name: np.array(made.get(name) or given[name], dtype=_NUMPY_TYPES.get(kind, np.int64))
            for name, kind in _RESPONSES_TABLE.items()
        }
        self._insert("new_responses", page)

    def _numbers_of(self, answers: Sequence[Answer]) -> dict[str, list[int]]:
        """Return the ids of what answers refer to, as columns."""
        keys: dict[DictionaryName, list[Key]] = {
            "palettes": [(answer.seed,) for answer in answers],
            "prompts": [(answer.prompt_version,) for answer in answers],
            "models": [(answer.provider, answer.model, answer.source) for answer in answers],
            "batches": [(answer.batch_id,) for answer in answers],
        }
        columns = {}
        for name, wanted in keys.items():
            ids = self.dictionaries[name].resolve(wanted)
            columns[next(iter(DICTIONARIES[name]))] = [ids[key] for key in wanted]
        return columns

    def _insert(self, table: str, page: Mapping[str, npt.NDArray[Any]]) -> None:
        self._connection.register("page", page)
        self._connection.execute(f"INSERT INTO {table} SELECT * FROM page")  # noqa: S608 - ours
        self._connection.unregister("page")
