"""How a question is asked: which answers it is about, and the SQL file that holds it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from grabient_ops.analytics.patience import interrupted_in_time
from grabient_ops.errors import InputError
from grabient_ops.tagging.vocabulary import FIELDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse

_Row = TypeVar("_Row")

_FACTS_AT_ONCE = 4_000_000
MOST_MASKED = 62
"""Model ids up to this fit into the bits of one BIGINT."""


class Selection(NamedTuple):
    """The answers that a question is about; what is empty chooses everything.

    Attributes:
        prompts: prompt versions, or their beginnings.
        models: model ids, or `provider/model`.
        sources: `own`, or the systems that answers came from.
    """

    prompts: Sequence[str] = ()
    models: Sequence[str] = ()
    runs: Sequence[int] = ()
    sources: Sequence[str] = ()


EVERYTHING = Selection()


@contextmanager
def chosen(
    warehouse: "Warehouse", selection: Selection, *, only_moving: bool = False
) -> "Iterator[DuckDBPyConnection]":
    """Open a cursor whose `chosen_facts` and `chosen_responses` are just these answers.

    With `only_moving`, only those about palettes whose consensus was not counted in advance.

    The ids stand in the views as literals, so that DuckDB prunes files by them; they come from the
    lake's dictionaries and from integers, never from text of a caller.

    Raises:
        InputError: nothing was ever answered under one of the names.
        ImpatientError: it takes longer than `patience` allows.
    """
    with warehouse.connection.cursor() as cursor, interrupted_in_time(cursor):
        ids = {
            "prompt_id": _prompt_ids(cursor, selection.prompts),
            "model_id": _model_ids(cursor, selection.models, selection.sources),
            "run_number": [int(run) for run in selection.runs],
        }
        conditions = [f"{column} IN ({_listed(some)})" for column, some in ids.items() if some]
        if only_moving:
            conditions.append("palette_id IN (FROM moving)")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        for table, columns in _columns(cursor).items():
            query = f"SELECT {columns} FROM {table} {where}"  # noqa: S608 - integers
            cursor.execute(f"CREATE TEMP VIEW chosen_{table} AS {query}")
        cursor.execute(f"CREATE TEMP MACRO count_models(id) AS {_counting(cursor)}")
        yield cursor


def _columns(cursor: "DuckDBPyConnection") -> dict[str, str]:
    """Return the columns that are chosen; a model has one id, however many sources it has."""
    from grabient_ops.analytics.warehouse import FACTS, RESPONSES

    model_id = _one_id(cursor)
    return {
        table: ", ".join(model_id if name == "model_id" else name for name in columns)
        for table, columns in (("facts", FACTS), ("responses", RESPONSES))
    }


def _one_id(cursor: "DuckDBPyConnection") -> str:
    models = cursor.execute("SELECT model_id, provider, model FROM models ORDER BY 1").fetchall()
    first: dict[tuple[str, str], int] = {}
    others = [
        (number, kept)
        for number, *name in models
        if (kept := first.setdefault((name[0], name[1]), number)) != number
    ]
    if not others:
        return "model_id"
    cases = " ".join(f"WHEN {number} THEN {kept}" for number, kept in others)
    return f"CAST(CASE model_id {cases} ELSE model_id END AS smallint) AS model_id"


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))


def _counting(cursor: "DuckDBPyConnection") -> str:
    """A mask is several times faster than a set, as long as every id has its bit."""
    (largest,) = cursor.execute("SELECT coalesce(max(model_id), 0) FROM models").fetchall()[0]
    if largest > MOST_MASKED:
        return "count(DISTINCT id)"
    return "bit_count(bit_or(CAST(1 AS bigint) << id))"


def _prompt_ids(cursor: "DuckDBPyConnection", words: Sequence[str]) -> list[int]:
    known = dict(cursor.execute("SELECT prompt_version, prompt_id FROM prompts").fetchall())
    return [prompt_id(known, word) for word in words]


def prompt_id(known: Mapping[str, int], word: str) -> int:
    """Return the id of the prompt version that a word means: it, or the only one beginning so.

    Raises:
        InputError: no version or several begin so.
    """
    found = [word] if word in known else [name for name in known if name.startswith(word)]
    if len(found) == 1:
        return known[found[0]]
    problem = "several prompt versions begin" if found else "no answer has a prompt version"
    raise InputError(f"{problem} {word!r}; there are {', '.join(sorted(known)) or 'none'}")


def _model_ids(
    cursor: "DuckDBPyConnection", words: Sequence[str], sources: Sequence[str]
) -> list[int]:
    """Return the models that words mean, each once for every source that is chosen."""
    known = cursor.execute("SELECT provider, model, source, model_id FROM models").fetchall()
    missing = set(sources).difference(source for _, _, source, _ in known)
    if missing:
        there = ", ".join(sorted({source for _, _, source, _ in known})) or "none"
        raise InputError(f"no answer is from {', '.join(sorted(missing))}; there are {there}")
    ours = [row for row in known if not sources or row[2] in sources]
    if sources and not words:
        return [number for *_, number in ours]
    return [number for word in words for number in _ids_of(ours, word)]


def _ids_of(known: Sequence[tuple[str, str, str, int]], word: str) -> list[int]:
    found = [number for provider, name, _, number in known if word in {name, f"{provider}/{name}"}]
    if not found:
        names = sorted({f"{provider}/{name}" for provider, name, _, _ in known})
        raise InputError(f"no answer is by {word!r}; there are {', '.join(names) or 'none'}")
    return found


def check_category(category: str | None) -> None:
    """Refuse a word that is no category.

    Raises:
        InputError: it is none of the ten fields of an answer.
    """
    if category is not None and category not in FIELDS:
        raise InputError(f"{category!r} is no category; there are {', '.join(FIELDS)}")


@cache
def sql_of(question: str) -> str:
    """Read a question; its parameters are written `$name`."""
    return files(__package__).joinpath(f"{question}.sql").read_text(encoding="utf-8")


def ask(
    cursor: "DuckDBPyConnection", question: str, row: Callable[..., _Row], **parameters: object
) -> list[_Row]:
    """Ask a question and make a row of each line of the answer."""
    return [row(*values) for values in answer(cursor, question, **parameters).fetchall()]


def answer(
    cursor: "DuckDBPyConnection", question: str, **parameters: object
) -> "DuckDBPyConnection":
    """Ask a question; the result waits at the cursor."""
    return cursor.execute(sql_of(question), parameters)


def ranges(cursor: "DuckDBPyConnection", palettes: str = "palettes") -> list[tuple[int, int]]:
    """Cut the ids in a table of palettes into ranges of some million facts; memory stays flat."""
    query = f"SELECT min(palette_id), max(palette_id), count(*) FROM {palettes}"  # noqa: S608 - ours
    first, last, some = _one(cursor, query)
    if not some:
        return []
    (facts,) = _one(cursor, "SELECT count(*) FROM facts")
    (every,) = _one(cursor, "SELECT count(*) FROM palettes")
    parts = max(1, facts * some // (every * _FACTS_AT_ONCE))
    width = -(-(last - first + 1) // parts)
    return [(start, min(start + width - 1, last)) for start in range(first, last + 1, width)]


def _one(cursor: "DuckDBPyConnection", query: str) -> Any:  # noqa: ANN401 - a row of any shape
    return cursor.execute(query).fetchall()[0]
