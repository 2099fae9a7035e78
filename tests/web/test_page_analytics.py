"""The charts of all answers, over HTTP, from a real store and its warehouse."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from structlog.typing import EventDict

from grabient_ops.analytics.patience import ImpatientError
from grabient_ops.analytics.questions.asking import EVERYTHING, chosen
from grabient_ops.analytics.questions.tags import top_tags
from grabient_ops.analytics.warehouse import Warehouse
from grabient_ops.app import App
from grabient_ops.web.answers import Answers
from grabient_ops.web.pages.analytics_panels import PANELS, View
from tests.web.conftest import HOSTILE, NOW, SEEDS, Served, Shelf, open_app

VIEWS: list[View] = [*PANELS]
OLD, NEW = "aaaa11112222", "bbbb33334444"
_TEXT = re.compile(r"<[^>]+>")
_FAILURE = 'class="failure"'


def read(served: Served, address: str) -> str:
    """Return a page once the warehouse has answered."""
    deadline = time.monotonic() + 60
    while "Loading" in (page := served.get(address)):
        assert time.monotonic() < deadline, address
        time.sleep(0.05)
    return page


def words(html: str) -> str:
    """Return what is written in a page."""
    return " ".join(_TEXT.sub(" ", html).split())


def answers_of_two_models(shelf: Shelf) -> None:
    """Two models, two prompt versions, two runs; the new prompt has words of its own."""
    for prompt, mood in ((OLD, "calm"), (NEW, "stormy")):
        for run in (1, 2):
            for model in ("llama", "qwen"):
                tags = {
                    "mood": [mood, HOSTILE] if model == "llama" else [mood, "bold"],
                    "temperature": "warm" if model == "llama" else "cool",
                    "dominant_colors": ["blue"],
                }
                batch = shelf.batch(
                    f"{prompt}{run}{model}", state="completed", ended_at=NOW, settled_cost=10**10
                )
                shelf.answer(
                    batch, *SEEDS, tags=tags, model=model, run_number=run, prompt_version=prompt
                )


@pytest.fixture(scope="module")
def charts(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One dashboard for many tests; not to be changed."""
    app = open_app(shutil.copytree(empty_home, tmp_path_factory.mktemp("a") / "home"))
    shelf = Shelf(app)
    answers_of_two_models(shelf)
    failed_answer(shelf)
    served = Served(app)
    yield served
    served.stop()
    app.store.close()


def failed_answer(shelf: Shelf) -> None:
    batch = shelf.batch("failed", state="completed")
    shelf.answer(batch, SEEDS[0], tags=None, error_class="truncated", model="llama", run_number=9)


@pytest.mark.parametrize("view", VIEWS)
def test_before_anything_is_answered_each_part_says_so(served: Served, view: View) -> None:
    page = read(served, f"/analytics?view={view}")

    assert _FAILURE not in page
    assert page.count('class="empty"') == len(PANELS[view])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_shows_what_there_is(charts: Served, view: View) -> None:
    page = read(charts, f"/analytics?view={view}")

    assert _FAILURE not in page
    assert 'class="empty"' not in page
    assert "<script>alert" not in page
    assert "style=" not in page.replace('rel="stylesheet"', "")


def test_top_tags_come_with_votes_and_share(charts: Served) -> None:
    page = read(charts, "/analytics")

    assert "blue dominant colours 100.0 % 48 6 2" in words(page)
    assert f"&lt;script&gt;alert(1)&lt;/script&gt;{HOSTILE[-8:]}</bdi>" in page


def test_answers_are_chosen_by_prompt_model_and_run(charts: Served) -> None:
    page = read(charts, f"/analytics?prompt={OLD}&model=groq/llama&run=2&category=mood")
    calm = re.search(r"calm mood (.*?) %", words(page))

    assert calm
    assert calm[1] == "100.0"
    assert "stormy" not in page
    assert "bold" not in page
    assert f"<option selected>{OLD}</option>" in page
    assert "view=agreement&amp;prompt=aaaa11112222&amp;model=groq%2Fllama&amp;run=2" in page


def test_answers_of_other_systems_are_chosen_by_their_source(served: Served, shelf: Shelf) -> None:
    answers_of_two_models(shelf)
    assert 'name="source"' not in read(served, "/analytics")
    shelf.answer(
        shelf.batch("imported"), SEEDS[0], tags={"mood": ["of old"]}, source="d1", model="older"
    )
    read(served, "/analytics?view=errors")
    page = read(served, "/analytics?source=d1")

    assert "of old mood 100.0 %" in words(page)
    assert "stormy" not in page
    assert "<option selected>d1</option>" in page
    assert "No batch is like that." in read(served, "/analytics?view=cost&source=d1")


def test_a_name_that_nobody_has_is_said_in_its_place(charts: Served) -> None:
    page = read(charts, f"/analytics?model={quote(HOSTILE)}")

    assert page.count(_FAILURE) == 2
    assert "no answer is by" in page
    assert "<script>alert" not in page


def test_a_name_that_nobody_has_fills_the_log_with_no_traceback(
    charts: Served, logged: list[EventDict]
) -> None:
    read(charts, "/analytics?model=never-asked")

    assert not any(entry["log_level"] == "warning" or "exc_info" in entry for entry in logged)


def test_two_prompt_versions_are_compared(charts: Served) -> None:
    newest = words(read(charts, "/analytics?view=prompts"))
    backwards = words(read(charts, f"/analytics?view=prompts&old={NEW}&new={OLD}"))
    same = words(read(charts, f"/analytics?view=prompts&old={NEW}&new={NEW}"))

    assert f"From {OLD} to {NEW}" in newest
    assert "stormy mood 0.0 % 100.0 % +100.0" in newest
    assert "calm mood 100.0 % 0.0 % −100.0" in newest  # noqa: RUF001 - a minus
    assert "stormy mood 100.0 % 0.0 % −100.0" in backwards  # noqa: RUF001 - a minus
    assert "Old and new are the same prompt version." in same


def test_models_are_compared_in_a_matrix_that_can_be_read_aloud(charts: Served) -> None:
    page = read(charts, "/analytics?view=agreement")

    assert "1 groq/llama · 0.50 2 groq/qwen 0.50 ·" in words(page)
    assert '<abbr title="groq/qwen">2</abbr>' in page
    assert 'title="groq/llama and groq/qwen share 50.0% of their tags"' in page


def test_what_the_colours_bear_out_stands_by_model_and_category(charts: Served) -> None:
    page = read(charts, "/analytics?view=accuracy")

    assert re.search(r"groq/llama \d+%", words(page))
    assert "tags are borne out by the colours" in page


def test_convergence_is_a_line_for_each_category_with_its_table(charts: Served) -> None:
    page = read(charts, f"/analytics?view=convergence&prompt={OLD}")

    assert 'aria-label="mood: 100.0 % stable in run 2"' in page
    assert "mood 2 6 100.0 % 0.000" in words(page)
    assert "all after run 1" in page


def test_cost_grows_batch_by_batch(charts: Served) -> None:
    page = words(read(charts, "/analytics?view=cost"))

    assert "$0.0800 for 8 batches" in page
    assert "2026-11-22 $0.0800 $0.00" in page


def test_models_without_a_price_are_said_to_be_missing(charts: Served) -> None:
    page = words(read(charts, "/analytics?view=cost"))

    assert "49 requests of models without a known price are not in it" in page
    assert "llama groq unknown unknown 25" in page


def test_errors_stand_by_model_and_class(charts: Served) -> None:
    page = read(charts, "/analytics?view=errors")

    assert "1 failed attempt," in page
    assert 'title="1 of 25 answers, 4.0%"' in page


def test_charts_follow_the_answers(served: Served, shelf: Shelf) -> None:
    answers_of_two_models(shelf)
    read(served, "/analytics")
    with served.follow("/analytics/live") as viewer:
        viewer.next()
        shelf.answer(shelf.batch("late"), SEEDS[0], tags={"mood": ["a tag of later"]}, run_number=7)
        event = viewer.next()

    assert "analytics-top" in event.targets
    assert "a tag of later" in event.html


def test_only_the_questions_of_the_view_are_asked(served: Served) -> None:
    read(served, "/analytics?view=errors")

    followed = {view.wanted.panel.id for view in served.web.hub.views}
    assert {name for name in followed if name.startswith("analytics")} == {"analytics-errors"}


@pytest.mark.parametrize(
    "query",
    ["view=nothing", "run=x", "run=1234567", "prompt=%00", f"model={'x' * 301}", "category=%00"],
)
def test_nonsense_in_the_address_is_refused(
    charts: Served, query: str, get_error: Callable[[str], tuple[int, str]]
) -> None:
    status, page = get_error(f"{charts.url}/analytics?{query}")

    assert status == 422
    assert "<h1>Unprocessable" in page


def test_a_question_is_asked_once_in_a_generation(app: App, shelf: Shelf) -> None:
    answers_of_two_models(shelf)
    answers = Answers(app)
    answers.catch_up()
    asked = []

    def question(_warehouse: Warehouse, word: str) -> list[str]:
        asked.append(word)
        return [word]

    assert [answers.ask(question, word) for word in ("a", "b", "a")] == [["a"], ["b"], ["a"]]
    assert asked == ["a", "b"]

    failed_answer(shelf)
    answers.catch_up()
    answers.ask(question, "a")
    assert asked == ["a", "b", "a"]


def test_a_question_that_takes_too_long_is_ended(
    app: App, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_of_two_models(shelf)
    answers = Answers(app)
    answers.catch_up()
    monkeypatch.setattr("grabient_ops.web.answers._PATIENCE_S", 0.1)

    def endless(warehouse: Warehouse) -> None:
        with chosen(warehouse, EVERYTHING) as cursor:
            cursor.execute(
                "SELECT sum(a.range * b.range) FROM range(1e9::int) a, range(1e9::int) b"
            )

    with pytest.raises(ImpatientError, match=r"longer than 0\.1 s; choose fewer"):
        answers.ask(endless)
    monkeypatch.undo()
    assert answers.ask(top_tags)
