import json
from contextlib import suppress
from typing import Any

import pytest
from fastapi.testclient import TestClient

from benchmarks.postgres import database_env
from grabient_ops.app import App
from grabient_ops.cli.main import main
from grabient_ops.errors import (
    AuthenticationError,
    ConfigError,
    GrabientError,
    InputError,
    StoreError,
)
from grabient_ops.web.api.route import NotThereError, _status_of
from grabient_ops.web.app import create_web
from tests.web.api.conftest import HERE, Api
from tests.web.conftest import HOSTILE, SEEDS

PATHS = [
    "/status", "/palettes", "/palettes/{seed}", "/palettes/{seed}/answers",
    "/palettes/{seed}/consensus", "/batches", "/batches/{batch}", "/workflows", "/errors",
    "/errors/list", "/prompts", "/prompts/{prompt}", "/prompts/{prompt}/diff/{prompt}", "/models",
    "/tagging/estimate", "/refinement/estimate", "/costs", "/budgets", "/analytics/top-tags",
    "/analytics/versions", "/analytics/agreement", "/analytics/reliability", "/analytics/accuracy",
    "/analytics/convergence", "/analytics/usage", "/analytics/failures",
]  # fmt: skip
"""What can be read as soon as there are answers."""


def test_everything_can_be_read(library: Api) -> None:
    answers = {path: library.get(path) for path in PATHS}

    assert all(isinstance(answer, dict | list) for answer in answers.values())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/status", ["status"]),
        ("/costs", ["cost", "report"]),
        ("/batches", ["batches", "list"]),
        ("/analytics/top-tags", ["analytics", "top-tags"]),
        ("/analytics/agreement", ["analytics", "agreement"]),
        ("/analytics/accuracy", ["analytics", "accuracy"]),
        ("/analytics/usage", ["analytics", "usage"]),
        ("/palettes/{seed}/consensus", ["analytics", "consensus", SEEDS[0]]),
        ("/budgets", ["cost", "budget"]),
    ],
)
def test_it_says_what_the_command_line_says(
    library: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    path: str, words: list[str],
) -> None:  # fmt: skip
    home = library.shelf.app.settings.home
    for name, value in {"GRABIENT_OPS_HOME": str(home), **database_env(home)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["grabient-ops", *words, "--json"])
    run_command()

    printed = json.loads(capsys.readouterr().out)

    assert _without_moments(library.get(path)) == _without_moments(printed)


def run_command() -> None:
    """Run a command in this process."""
    with suppress(SystemExit):
        main()


def _without_moments(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Moments are written in two ways."""
    if isinstance(value, dict):
        return {k: _without_moments(v) for k, v in value.items() if not k.endswith("_at")}
    return [_without_moments(item) for item in value] if isinstance(value, list) else value


def test_pages_of_palettes_hold_each_once(library: Api) -> None:
    first = library.get("/palettes", limit=4)
    second = library.get("/palettes", limit=4, after=first["next"])

    assert [item["seed"] for item in first["items"] + second["items"]] == sorted(SEEDS)
    assert (first["total"], second["next"]) == (len(SEEDS), None)


def test_a_palette_comes_with_its_colours_and_facts(library: Api) -> None:
    palette = library.get("/palettes/{seed}")

    assert palette["stored"]["seed"] == SEEDS[0]
    assert len(palette["looks"]["hex"]) == 11
    assert palette["looks"]["facts"]["temperature"]
    assert palette["refined"] is None


def test_answers_come_verbatim_however_hostile(library: Api) -> None:
    (answer,) = library.get("/palettes/{seed}/answers")["items"]

    assert answer["tags"]["mood"] == ["calm", HOSTILE]
    assert HOSTILE in answer["response"]


@pytest.mark.parametrize(
    "path",
    # No id begins with an underscore: a batch may be named by the beginning of its id.
    ["/palettes/_", "/palettes/_/answers", "/palettes/_/consensus", "/batches/_", "/workflows/_",
     "/prompts/_", "/nothing"],
)  # fmt: skip
def test_what_is_not_there_is_a_problem_in_one_sentence(library: Api, path: str) -> None:
    answer = library.client.get(path)

    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["title"]) == (404, 404, "Not Found")
    assert "\n" not in problem["detail"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/palettes", {"limit": 0}),
        ("/palettes", {"limit": 1001}),
        ("/palettes", {"after": "\0"}),
        ("/palettes/{seed}/answers", {"after": 2**63}),
        ("/palettes/{seed}/answers", {"kind": "x"}),
        ("/palettes/{seed}/consensus", {"category": "colour"}),
        ("/palettes/{seed}/consensus", {"min_share": "nan"}),
        ("/analytics/top-tags", {"model": "nobody"}),
        ("/analytics/differences", {"old": "x"}),
        ("/tagging/estimate", {"models": "nobody"}),
        ("/tagging/estimate", {"budget_usd": "inf"}),
        ("/tagging/estimate", {"budget_usd": 1, "lift_budget": True}),
        ("/refinement/estimate", {"model": "nobody"}),
        ("/batches", {"state": "gone"}),
        ("/search", {"q": ""}),
    ],
)
def test_nonsense_is_refused_with_a_reason(library: Api, path: str, query: dict[str, Any]) -> None:
    problem = library.get(path, 422, **query)

    assert problem["title"] == "Unprocessable Entity"
    assert problem["detail"]


def test_without_answers_questions_say_so(app: App) -> None:
    client = TestClient(create_web(app), HERE)

    answers = [client.get("/analytics/usage"), client.get("/search?q=calm")]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert "no answers yet" in answers[0].json()["detail"]


def test_sql_answers_with_columns_and_rows(library: Api) -> None:
    table = library.post("/sql", {"sql": "SELECT count(*) AS answers, 'x' AS x FROM answers"})

    assert (table["columns"], table["rows"]) == (["answers", "x"], [[3, "x"]])


@pytest.mark.parametrize("sql", ["DROP VIEW answers", "SELECT", "SELECT 1; SELECT 2", "COPY x"])
def test_sql_that_is_not_one_select_is_refused(library: Api, sql: str) -> None:
    assert library.post("/sql", {"sql": sql}, 422)["detail"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotThereError("x"), 404),
        (InputError("x"), 422),
        (ConfigError("x"), 422),
        (StoreError("x"), 503),
        (AuthenticationError("openai", "x"), 502),
        (GrabientError("x"), 422),
    ],
)
def test_each_kind_of_error_has_its_status(error: GrabientError, status: int) -> None:
    assert _status_of(error) == status


def test_a_secret_in_an_error_is_not_shown(library: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_services: object) -> None:
        raise StoreError("the store postgresql://ops:hunter2@db failed")

    monkeypatch.setattr("grabient_ops.web.api.status.read_status", fail)

    problem = library.get("/status", 503)

    assert "hunter2" not in problem["detail"]
