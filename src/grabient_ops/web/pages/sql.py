"""One's own SQL over the warehouse: a table to look at, or a file to take away."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from grabient_ops.analytics.console import (
    Limits,
    QueryFailedError,
    QueryRefusedError,
    Table,
    run_query,
)
from grabient_ops.analytics.questions.views import list_views
from grabient_ops.analytics.tablefile import csv_of, parquet_of
from grabient_ops.analytics.warehouse import EmptyLakeError
from grabient_ops.web.api.warehouse import few_at_once
from grabient_ops.web.live.panel import Context
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Page
from grabient_ops.web.parts import Parts, Web
from grabient_ops.web.replies import is_htmx

router = APIRouter(include_in_schema=False)

_SHOWN = Limits(rows=500, timeout_s=10.0, answer_mb=32)
_SAVED = Limits(rows=200_000, timeout_s=60.0, answer_mb=64)
_MOST_CHARS, _MOST_CHARS_OF_CELL, _FEWEST_CHARS_OF_CELL = 1_000_000, 300, 20

EXAMPLES = {
    "Tags that one model gives alone": """\
SELECT category, tag, any_value(model) AS model, count(*) AS votes
FROM votes
GROUP BY category, tag
HAVING count(DISTINCT model) = 1
ORDER BY votes DESC
LIMIT 50""",
    "How calm each model finds the palettes": """\
SELECT model, count(*) FILTER (tag = 'calm') / count(DISTINCT response_id) AS share
FROM votes
WHERE category = 'mood'
GROUP BY model
ORDER BY share DESC""",
    "Palettes that the models disagree about": """\
SELECT seed, count(DISTINCT tag) AS moods, count(DISTINCT response_id) AS answers
FROM votes
WHERE category = 'mood'
GROUP BY seed
ORDER BY moods / answers DESC
LIMIT 20""",
    "Longest answers": """\
SELECT provider, model, seed, output_tokens, length(response) AS characters
FROM answers
ORDER BY output_tokens DESC
LIMIT 20""",
    "Refined palettes": """\
SELECT seed, model, embed_text
FROM refined
LIMIT 20""",
}
"""What a query is about -> the query."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A statement to begin with; it is not run."""

    sql: Annotated[str, Query(max_length=8000)] = ""


class Cell(NamedTuple):
    """A value as it is shown.

    Attributes:
        left_out: characters that are not.
    """

    kind: Literal["null", "number", "text"]
    text: str
    left_out: int


class Answer(NamedTuple):
    """What came of a statement.

    Attributes:
        problem: why there is no table; "" when there is one.
    """

    sql: str
    problem: str = ""
    table: Table | None = None
    rows: Sequence[Sequence[Cell]] = ()


@router.post("/sql")
def run(web: Parts, request: Request, sql: Annotated[str, Form()] = "") -> HTMLResponse:
    """Show what a SELECT finds."""
    answer = _answer(web, sql)
    if is_htmx(request):
        return HTMLResponse(web.templates.fill("sql/answer.html", answer=answer))
    with web.read() as reading:
        frame = _read_frame(reading, Typed(sql))
    html = web.templates.fill(
        "sql.html", title=PAGE.title, path=PAGE.path, params=Typed(sql), notice="", stream="",
        theme=request.cookies.get("theme", ""), live=lambda _panel_id: Markup(),
        **{**frame, "answer": answer},
    )  # fmt: skip
    return HTMLResponse(html)


@router.post("/sql/answer.csv")
def save_csv(web: Parts, sql: Annotated[str, Form()] = "") -> Response:
    """Give what a SELECT finds as a file for spreadsheets."""
    text = "".join(csv_of(_ask(web, sql, _SAVED)))
    return _file(text.encode(errors="replace"), "answer.csv", "text/csv; charset=utf-8")


@router.post("/sql/answer.parquet")
def save_parquet(web: Parts, sql: Annotated[str, Form()] = "") -> Response:
    """Give what a SELECT finds as a file with types."""
    content = parquet_of(_ask(web, sql, _SAVED))
    return _file(content, "answer.parquet", "application/vnd.apache.parquet")


def _file(content: bytes, name: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def _answer(web: Web, sql: str) -> Answer:
    try:
        table = _ask(web, sql, _SHOWN)
    except (EmptyLakeError, QueryFailedError, QueryRefusedError) as error:
        return Answer(sql, problem=str(error))
    cells = len(table.columns) * max(len(table.rows), 1)
    fair = max(min(_MOST_CHARS // cells, _MOST_CHARS_OF_CELL), _FEWEST_CHARS_OF_CELL)
    return Answer(sql, table=table, rows=[[_cell(v, fair) for v in row] for row in table.rows])


def _ask(web: Web, sql: str, limits: Limits) -> Table:
    with few_at_once():
        with web.read() as reading:
            reading.answers.catch_up()
        return run_query(web.app.lake, sql, limits=limits)


def _cell(value: object, longest: int) -> Cell:
    match value:
        case None:
            return Cell("null", "NULL", 0)
        case bool() | list() | dict():
            text = json.dumps(value, ensure_ascii=False)
        case int() | float():
            return Cell("number", str(value), 0)
        case _:
            text = str(value)
    return Cell("text", text[:longest], max(len(text) - longest, 0))


def _read_frame(reading: Reading, _typed: Typed) -> Context:
    try:
        views = reading.answers.ask(list_views)
    except EmptyLakeError:
        views = []
    return {"views": views, "examples": EXAMPLES, "limits": _SHOWN, "saved": _SAVED, "answer": None}


PAGE = Page(
    path="/sql", title="SQL", template="sql.html", params=Typed, panels=(), frame=_read_frame
)
