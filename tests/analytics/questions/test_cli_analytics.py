import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from grabient_ops.analytics.answers import Answer
from grabient_ops.cli.analytics import app
from grabient_ops.errors import GrabientError
from grabient_ops.store.engine import open_store
from grabient_ops.store.tables import palette_tags
from grabient_ops.tagging.vocabulary import FIELDS
from tests.analytics.questions.conftest import HOSTILE, PROMPTS

Ask = Callable[..., Result]
_NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("GRABIENT_OPS_HOME", str(path))
    return path


@pytest.fixture
def ask(home: Path) -> Ask:
    assert home.is_dir()

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, words)

    return run


def _json(result: Result) -> object:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _store(home: Path, answers: Iterable[Answer]) -> None:
    store = open_store(f"sqlite:///{home / 'store.sqlite'}")
    unset = {"excused": False, "parser_version": 1, "ambiguous": None}
    with store.write() as connection:
        rows = [
            {**a._asdict(), **unset, "id": a.response_id, "created_at": _NOW,
             "tags": None if a.tags is None else json.loads(a.tags)}
            for a in answers
        ]  # fmt: skip
        connection.execute(sa.insert(palette_tags), rows)
    store.close()


@pytest.fixture
def full(home: Path, answers: list[Answer]) -> str:
    """A store with all answers; returns one of its seeds."""
    _store(home, answers)
    return answers[0].seed


def test_hostile_tags_come_back_whole_as_json(home: Path, ask: Ask) -> None:
    tags = {"mood": [*HOSTILE, "凉" * 33_000]}
    _store(home, [Answer(1, "seed 凉", "groq", "m", 1, "p", 1, "b", json.dumps(tags))])
    whole = {" ".join(text.lower().split()) for text in tags["mood"]}

    top = _json(ask("top-tags", "--json"))
    own = _json(ask("consensus", "seed 凉", "--json"))

    assert isinstance(top, list)
    assert isinstance(own, dict)
    assert {row["tag"] for row in top} == {row["tag"] for row in own["tags"]} == whole
    assert ask("consensus", "seed 凉").exit_code == 0
    assert ask("top-tags").exit_code == 0


def test_consensus_has_votes_share_and_strength(full: str, ask: Ask) -> None:
    document = _json(ask("consensus", full, "--category", "temperature", "--json"))

    assert isinstance(document, dict)
    assert {*document} == {"seed", "responses", "models", "tags"}
    for row in document["tags"]:
        assert row["share"] == row["votes"] / row["responses"]
        assert row["strength"] in {"strong", "moderate", "weak"}
        assert row["category"] == "temperature"


def test_filters_narrow_the_answers(full: str, ask: Ask) -> None:
    document = _json(
        ask("consensus", full, "--model", "claude", "--run", "1", "--prompt", PROMPTS[0], "--json")
    )

    assert isinstance(document, dict)
    assert document["responses"] <= 1


def test_consensus_of_all_palettes_is_one_json_array_or_a_file(
    full: str, ask: Ask, tmp_path: Path
) -> None:
    rows = _json(ask("consensus", "--all", "--json"))
    written = _json(ask("consensus", "--all", "--out", str(tmp_path / "all.parquet"), "--json"))

    assert isinstance(rows, list)
    assert full in {row["seed"] for row in rows}
    assert written == {"rows": len(rows), "file": str(tmp_path / "all.parquet")}
    assert len(duckdb.read_parquet(str(tmp_path / "all.parquet"))) == len(rows)
    assert _json(ask("consensus", "--all", "--run", "99", "--json")) == []


_DIFFERENCE = """category tag old_votes old_responses old_share new_votes new_responses new_share
    difference z p_value q_value"""
_USED = """provider model run_number prompt_version requests answered input_tokens output_tokens
    cached_tokens reasoning_tokens cost_usd standard_usd unpriced saved_usd"""


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("top-tags --limit 2", "place category tag votes palettes models share"),
        ("top-tags --per-category", "place category tag votes palettes models share"),
        ("versions aaaa aabb", _DIFFERENCE),
        ("reliability", "category provider model votes accuracy confusion"),
        ("accuracy", "provider model category responses said hits due precision recall"),
        ("usage --by run_number", _USED),
        ("errors", "provider model error_class failed responses share"),
    ],
)
def test_json_is_a_list_of_rows(full: str, ask: Ask, words: str, keys: str) -> None:
    assert full
    rows = _json(ask(*words.split(), "--json"))

    assert isinstance(rows, list)
    assert rows
    assert all([*row] == keys.split() for row in rows)


def test_json_of_two_parts_is_an_object(full: str, ask: Ask) -> None:
    assert full
    versions = _json(ask("versions", "--limit", "3", "--json"))
    agreement = _json(ask("agreement", "--json"))

    assert isinstance(versions, dict)
    assert [row["prompt_version"] for row in versions["versions"]] == [*PROMPTS]
    assert len(versions["tags"]) == 6
    assert isinstance(agreement, dict)
    assert {row["category"] for row in agreement["categories"]} == {*FIELDS}
    assert len(agreement["pairs"]) == 6 * len(FIELDS)


def test_convergence_tells_what_stopping_earlier_would_have_saved(full: str, ask: Ask) -> None:
    assert full
    document = _json(
        ask("convergence", "--category", "mood", "--flips", "0", "--flips", "99", "--json")
    )

    assert isinstance(document, dict)
    assert [[*row] for row in document["categories"]] == [
        ["category", "run", "palettes", "distance", "stable"]
    ] * 2
    assert {row["category"] for row in document["categories"]} == {"mood"}
    assert [(row["run"], row["flips"]) for row in document["stopping"]] == [
        (1, None), (2, None), (None, 0), (None, 99),
    ]  # fmt: skip
    never, at_once = document["stopping"][2:]
    assert (never["saved_requests"], never["agreement"], never["saved_usd"]) == (0, 1, 0)
    assert at_once["saved_share"] == at_once["saved_requests"] / at_once["requests"]
    assert 0 < at_once["saved_usd"] < at_once["cost_usd"]
    assert "below 99 flips" in ask("convergence", "--flips", "99").stdout


@pytest.mark.parametrize(
    "words",
    ["sync", "top-tags", "versions", "versions aaaa aabb", "convergence", "agreement",
     "reliability", "accuracy", "usage", "errors"],
)  # fmt: skip
def test_people_get_a_table(full: str, ask: Ask, words: str) -> None:
    assert full
    result = ask(*words.split())

    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert "{" not in result.stdout.replace("{0}", "")


def test_cost_comes_from_the_catalog_and_batches_save(full: str, ask: Ask) -> None:
    assert full
    rows = _json(ask("usage", "--json"))

    assert isinstance(rows, list)
    row = next(row for row in rows if row["model"] == "gpt-4o-mini")
    assert 0 < row["cost_usd"] < row["standard_usd"]
    assert row["saved_usd"] == row["standard_usd"] - row["cost_usd"]
    assert {row["model"] for row in rows if row["cost_usd"] is None} == {"claude", "gemini"}
    assert "without a known price" in ask("usage").stdout


@pytest.mark.parametrize("words", ["top-tags", "convergence", "agreement", "usage"])
def test_plots_are_written_beside_the_answer(
    full: str, ask: Ask, words: str, tmp_path: Path
) -> None:
    assert full
    result = ask(*words.split(), "--plot", str(tmp_path / "it.svg"), "--json")

    assert _json(result)
    assert (tmp_path / "it.svg").stat().st_size > 5000
    assert "it.svg" in result.stderr


def test_sync_counts_what_is_new(full: str, ask: Ask, answers: list[Answer]) -> None:
    assert full
    first, second = _json(ask("sync", "--json")), _json(ask("sync", "--json"))

    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["answers"], second["answers"]) == (len(answers), 0)
    again = _json(ask("sync", "--rebuild", "--json"))
    assert isinstance(again, dict)
    assert again["answers"] == len(answers)


def test_sql_and_export_reach_the_warehouse(full: str, ask: Ask, tmp_path: Path) -> None:
    assert full
    table = _json(ask("sql", "SELECT count(DISTINCT seed) AS seeds FROM votes", "--json"))
    copied = _json(ask("export", str(tmp_path / "copy"), "--json"))

    assert isinstance(table, dict)
    assert (table["columns"], table["rows"]) == (["seeds"], [[12]])
    assert "12" in ask("sql", "SELECT count(DISTINCT seed) FROM votes").stdout
    assert isinstance(copied, dict)
    assert copied["copied"] > 0
    assert (tmp_path / "copy" / "manifest.json").exists()


@pytest.mark.parametrize("words", ["consensus x", "top-tags", "agreement", "usage --json"])
def test_without_answers_there_is_one_sentence(ask: Ask, words: str) -> None:
    result = ask(*words.split())

    assert result.exit_code == 1
    assert isinstance(result.exception, GrabientError)
    assert str(result.exception).startswith("there are no answers yet")
    assert not result.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["consensus", "凉"], "no model has answered about the seed '凉'"),
        (["versions", "aaaa", "zz"], "no answer has a prompt version 'zz'"),
        (["top-tags", "--model", "gpt-9"], "no answer is by 'gpt-9'"),
        (["consensus", "--all", "--out", "all.txt"], "should end in .parquet or .csv"),
    ],
)
def test_unknown_things_are_one_sentence(
    full: str, ask: Ask, words: list[str], reason: str
) -> None:
    assert full
    result = ask(*words)

    assert result.exit_code == 1
    assert isinstance(result.exception, GrabientError)
    assert reason in str(result.exception)


@pytest.mark.parametrize(
    "words",
    ["consensus", "consensus x --all", "consensus --all", "consensus x --out a.csv",
     "top-tags --category moods", "versions aaaa", "usage --by day", "top-tags --plot a.gif",
     "consensus --all --json --category mood", "consensus x --min-share 2"],
)  # fmt: skip
def test_wrong_usage_exits_2_and_writes_nothing(
    full: str, home: Path, ask: Ask, words: str
) -> None:
    assert full
    result = ask(*words.split())

    assert result.exit_code == 2
    assert not result.stdout
    assert not (home / "lake").exists()


def test_what_could_steer_a_terminal_is_shown_as_an_escape(home: Path, ask: Ask) -> None:
    evil = "\x1b[31mred\u202e"
    row = Answer(1, evil, "groq", evil, 1, evil, 1, "b", json.dumps({"mood": [f"a{evil}"]}))
    failed = row._replace(response_id=2, run_number=2, tags=None, error_class="refused")
    _store(home, [row, failed])

    for words in (["consensus", evil], ["top-tags"], ["versions"], ["agreement"], ["usage"],
                  ["errors"], ["accuracy"]):  # fmt: skip
        result = ask(*words)
        assert result.exit_code == 0, result.output
        assert not {"\x1b", "\u202e"} & {*result.stdout}, words


_HOLDER = """
import sys; from pathlib import Path
from grabient_ops.analytics.lake import open_lake
with open_lake(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("words", ["top-tags", "sql"])
def test_a_question_does_not_queue_behind_another_process_that_syncs(
    home: Path, full: str, ask: Ask, words: str
) -> None:
    assert full
    assert ask("sync").exit_code == 0
    command = [sys.executable, "-c", _HOLDER, str(home / "lake")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        statement = ["SELECT count(*) AS n FROM responses"] if words == "sql" else []
        result = ask(words, *statement, "--json")
        holder.communicate("\n")

    assert result.exit_code == 0
    assert json.loads(result.stdout)
    assert "generation 1 of 20" in result.stderr
