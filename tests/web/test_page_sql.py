"""The SQL console in the dashboard: tables, files, refusals, and cells that want to be more."""

import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote, urlencode

import duckdb
import pytest

from grabient_ops.web.pages import sql as page_module
from tests.web.conftest import HOSTILE, SEEDS, Served

HTMX = {"hx-request": "true"}


def ask(served: Served, sql: str, path: str = "/sql", **headers: str) -> HTTPResponse:
    """Send the form as a browser does."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        served.url + path,
        urlencode({"sql": sql}).encode(),
        {"sec-fetch-site": "same-origin", **headers},
    )
    response: HTTPResponse = urllib.request.urlopen(request, timeout=60)  # noqa: S310 - loopback
    return response


def answer(served: Served, sql: str) -> str:
    """Return the fragment that a script swaps into the page."""
    with ask(served, sql, **HTMX) as response:
        return response.read().decode()


def test_a_table_shows_names_types_and_values(full: Served) -> None:
    html = answer(full, "SELECT 1234 AS n, 'x' AS t, NULL AS gone, [1, 2] AS l, true AS b")

    assert '<bdi>n</bdi><br><span class="type">integer</span>' in html
    assert '<td class="number"><div><bdi>1234</bdi></div></td>' in html
    assert '<td class="null"><div><bdi>NULL</bdi></div></td>' in html
    assert "<bdi>[1, 2]</bdi>" in html
    assert "<bdi>true</bdi>" in html
    assert "1 row<" in html


def test_the_answers_of_the_home_can_be_asked(full: Served) -> None:
    html = answer(full, "SELECT DISTINCT seed FROM votes WHERE tag = 'calm' ORDER BY seed")

    assert "2 rows<" in html
    assert all(seed in html for seed in SEEDS[:2])


def test_without_a_script_the_answer_is_a_page(full: Served) -> None:
    with ask(full, "SELECT 'here' AS it") as response:
        html = response.read().decode()

    assert html.startswith("<!doctype html>")
    assert "SELECT &#39;here&#39; AS it</textarea>" in html
    assert "<bdi>here</bdi>" in html


def test_hostile_values_and_names_are_text(full: Served) -> None:
    html = answer(full, 'SELECT tag, given AS "<img src=x onerror=alert(1)>" FROM votes')

    assert "<script>" not in html
    assert "<img" not in html
    assert "<bdi>&lt;img src=x onerror=alert(1)&gt;</bdi>" in html
    assert f"<bdi>&lt;script&gt;alert(1)&lt;/script&gt;{HOSTILE[-8:]}</bdi>" in html


def test_long_cells_are_cut_and_say_so(full: Served) -> None:
    html = answer(full, "SELECT repeat('x', 100000) AS long")

    assert html.count("x" * 300) == 1
    assert "x" * 301 not in html
    assert "… 99,700 more" in html


def test_many_long_cells_make_no_endless_page(full: Served) -> None:
    columns = ", ".join(f"repeat('x', 400) AS c{n}" for n in range(100))
    html = answer(full, f"SELECT {columns} FROM range(500)")  # noqa: S608 - ours

    assert len(html) < 8_000_000
    assert "… 380 more" in html


def test_more_rows_than_are_shown_are_said(full: Served) -> None:
    html = answer(full, "SELECT * FROM range(501)")

    assert "The first 500 rows" in html
    assert "There are more; a file has them." in html


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("", "exactly one statement runs here"),
        ("SELECT nonsense FROM votes", "Binder Error"),
        ("SELEC 1", "syntax error"),
        ("DROP VIEW votes", "only SELECT runs here"),
        ("SELECT 1; SELECT 2", "exactly one statement runs here"),
        ("SELECT * FROM read_text('/etc/passwd')", "Permission Error"),
        ("SELECT '\0'", "NUL"),
        ("SELECT '" + "x" * 20_000 + "'", "20,000 are allowed"),
        ("SELECT '<script>' AS a FROM nothing_of_this_name", "nothing_of_this_name"),
    ],
)
def test_what_cannot_be_answered_is_said_in_the_place_of_the_answer(
    full: Served, sql: str, said: str
) -> None:
    html = answer(full, sql)

    assert said in html
    assert "There is no answer." in html
    assert "<script>" not in html


def test_a_home_without_answers_says_so(served: Served) -> None:
    assert "0 rows<" in answer(served, "SELECT * FROM votes")
    assert "<h1>SQL</h1>" in served.get("/sql")


def test_csv_has_all_rows(full: Served) -> None:
    with ask(full, "SELECT range AS n, '=1' AS f FROM range(600)", "/sql/answer.csv") as response:
        text = response.read().decode()

    assert text.splitlines()[:2] == ["n,f", "0,'=1"]
    assert len(text.splitlines()) == 601
    assert response.headers["content-disposition"] == 'attachment; filename="answer.csv"'
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_parquet_has_all_rows_with_types(full: Served, tmp_path: Path) -> None:
    with ask(full, "SELECT range AS n FROM range(600)", "/sql/answer.parquet") as response:
        (tmp_path / "a.parquet").write_bytes(response.read())
    found = duckdb.connect().read_parquet(str(tmp_path / "a.parquet"))

    assert (found.columns, list(map(str, found.types))) == (["n"], ["BIGINT"])
    assert found.aggregate("count(*), max(n)").fetchall() == [(600, 599)]


def test_a_file_of_a_refused_statement_is_a_sentence(full: Served) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(full, "DROP VIEW votes", "/sql/answer.csv")
    with caught.value as response:
        assert response.code == 400
        assert "only SELECT runs here" in response.read().decode()


def test_a_statement_in_the_address_is_not_run(full: Served) -> None:
    html = full.get(f"/sql?sql={quote('SELECT 41 + 1 -- </textarea><script>')}")

    assert "SELECT 41 + 1 -- &lt;/textarea&gt;&lt;script&gt;</textarea>" in html
    assert 'id="answer-heading"' not in html


def test_help_shows_the_views_and_their_columns(full: Served) -> None:
    answer(full, "SELECT 1")
    html = full.get("/sql")

    assert "<summary><code>votes</code></summary>" in html
    assert '<dt><code>prompt_version</code></dt><dd class="muted">varchar</dd>' in html
    assert "chosen_facts" not in html


@pytest.mark.parametrize("name", [*page_module.EXAMPLES])
def test_every_example_runs(full: Served, name: str) -> None:
    assert "There is no answer." not in answer(full, page_module.EXAMPLES[name])
