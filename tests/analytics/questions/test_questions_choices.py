"""What the help of a dashboard asks: names to choose by, views to write SQL about, a time limit."""

import time
from pathlib import Path

import numpy as np
import pytest

from grabient_ops.analytics.console import run_query
from grabient_ops.analytics.dawid_skene import Votes, fit
from grabient_ops.analytics.patience import ImpatientError, patience
from grabient_ops.analytics.questions.asking import EVERYTHING, chosen
from grabient_ops.analytics.questions.choices import choices
from grabient_ops.analytics.questions.views import list_views
from grabient_ops.analytics.warehouse import Warehouse, open_warehouse
from tests.analytics.questions.conftest import PROMPTS, RUNS, Opener, write_lake

_ENDLESS = "SELECT sum(a.range * b.range) FROM range(1e9::int) a, range(1e9::int) b"


def test_answers_can_be_chosen_by_every_name_that_has_some(warehouse: Warehouse) -> None:
    found = choices(warehouse)

    assert found.prompts == list(PROMPTS)
    assert found.runs == list(RUNS)
    assert found.sources == ["own"]
    assert found.models == [
        "anthropic/claude", "google/gemini", "groq/openai/gpt-oss-20b", "openai/gpt-4o-mini",
    ]  # fmt: skip


def test_without_answers_there_is_nothing_to_choose(open_answers: Opener) -> None:
    assert choices(open_answers([])) == ([], [], [], [])


def test_the_views_are_those_that_the_console_knows(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, [])
    with open_warehouse(lake) as warehouse:
        views = list_views(warehouse)
    tables = run_query(lake, "SHOW TABLES").rows

    assert [view.name for view in views[:3]] == ["votes", "answers", "refined"]
    assert sorted([view.name] for view in views) == sorted(tables)
    for view in views:
        described = run_query(lake, f"DESCRIBE {view.name}").rows
        assert [[*column] for column in view.columns] == [row[:2] for row in described]


def test_a_question_ends_when_patience_does(warehouse: Warehouse) -> None:
    begun = time.monotonic()

    def ask_for_ever() -> None:
        with patience(0.1), chosen(warehouse, EVERYTHING) as cursor:
            cursor.execute(_ENDLESS)

    with pytest.raises(ImpatientError, match=r"longer than 0\.1 s"):
        ask_for_ever()
    assert time.monotonic() - begun < 30


def test_what_comes_after_the_end_of_patience_is_not_asked_any_more(warehouse: Warehouse) -> None:
    def dawdle() -> None:
        with patience(0.1):
            time.sleep(0.2)
            with chosen(warehouse, EVERYTHING) as cursor:
                cursor.execute(_ENDLESS)

    with pytest.raises(ImpatientError):
        dawdle()


def test_what_is_not_asked_of_duckdb_ends_as_well() -> None:
    one = np.zeros(1, dtype=np.int64)

    with pytest.raises(ImpatientError), patience(-1.0):
        fit(Votes(one, one, one, one + 1), 2)


def test_patience_that_lasts_changes_nothing(warehouse: Warehouse) -> None:
    with patience(60):
        assert choices(warehouse).runs == list(RUNS)
