"""Ordering tags and refinements from the dashboard, over HTTP, against a real store."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from grabient_ops.pipeline.limits import to_pico
from grabient_ops.providers.base import PROVIDERS
from grabient_ops.store.passes import list_passes
from grabient_ops.store.targets import list_model_targets
from tests.web.conftest import SEEDS

if TYPE_CHECKING:
    from grabient_ops.app import App
    from tests.web.conftest import Answered, Served, Shelf

GROQ = "groq/openai/gpt-oss-20b"
UNPRICED = """
[[models]]
provider = "groq"
id = "nameless"
max_output_tokens = 100
max_tokens_parameter = "max_tokens"
structured_output = "none"
batch_requests = 10
batch_bytes = 1000000
as_of = 2026-11-01
source = "a test"
"""
_KEY = re.compile(r'name="once" value="([^"]+)"')
_TICKED = re.compile(r'name="model" value="([^"]+)" checked')


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "of the sandbox")
    monkeypatch.setenv("GROQ_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of the sandbox")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")


def _estimate(served: "Served", *fields: tuple[str, str], page: str = "/jobs/new") -> str:
    return served.get(f"{page}/estimate?{urlencode([('filled', '1'), *fields])}")


def _send(served: "Served", page: str, *fields: tuple[str, str], **headers: str) -> "Answered":
    [key] = _KEY.findall(served.get(page))
    return served.post(page, ("filled", "1"), ("once", key), *fields, **headers)


def _targets(app: "App") -> list[tuple[str, int]]:
    with app.store.read() as connection:
        return [(target.model, target.target_runs) for target in list_model_targets(connection)]


def test_the_default_models_that_have_a_key_are_ticked(served: "Served", app: "App") -> None:
    html = served.get("/jobs/new")
    expected = {
        f"{model.provider}/{model.id}"
        for model in app.catalog.defaults()
        if model.provider in {"groq", "anthropic"}
    }

    assert set(_TICKED.findall(html)) == expected
    assert "<code>OPENAI_API_KEY</code> is not set" in html
    assert "GROQ_API_KEY" not in html


def test_retired_models_cannot_be_chosen_and_say_when_they_went(
    served: "Served", app: "App"
) -> None:
    today = app.services.now().date()
    [retired, *_] = [m for m in app.catalog.models if m.status(today) == "retired"]
    html = served.get("/jobs/new")

    assert f'value="{retired.provider}/{retired.id}" disabled' in html
    assert f"retired on {retired.retires_on}" in html


def test_the_estimate_follows_the_form(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(*SEEDS)
    once = _estimate(served, ("model", GROQ), ("runs", "1"))
    often = _estimate(served, ("model", GROQ), ("runs", "3"), ("limit", "2"))

    assert f"<dd>{len(SEEDS)}</dd>" in once
    assert "<dd>6</dd>" in often
    assert "At most" in once


def test_the_form_works_without_a_script(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(*SEEDS)
    words = [("filled", "1"), ("model", GROQ), ("runs", "2"), ("limit", "3"), ("adaptive", "1")]
    html = served.get(f"/jobs/new?{urlencode(words)}")

    assert _TICKED.findall(html) == [GROQ]
    assert re.search(r'name="runs" [^>]*value="2"', html)
    assert "<dt>Requests</dt><dd>6</dd>" in html


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ([], "Choose at least one model"),
        ([("model", "nobody/nothing")], "No model is called"),
        ([("model", GROQ), ("runs", "0")], "whole number from 1 to 1,000"),
        ([("model", GROQ), ("runs", "1e3")], "whole number"),
        ([("model", GROQ), ("runs", "9" * 150)], "whole number"),
        ([("model", GROQ), ("limit", "-1")], "Palettes: "),
        ([("model", GROQ), ("budget", "much")], "Budget: "),
        ([("model", GROQ), ("budget", "nan")], "Budget: "),
        ([("model", GROQ), ("budget", "1e300")], "Budget: "),
        ([("model", GROQ), ("budget", "1"), ("lift", "1")], "given and lifted"),
        ([("model", GROQ), ("adaptive", "1"), ("flips", "few")], "Expected flips: "),
        ([("model", "openai/gpt-4o-mini")], "No key is set"),
    ],
)
def test_a_form_that_cannot_be_sent_says_why(
    full: "Served", fields: list[tuple[str, str]], problem: str
) -> None:
    assert problem in _estimate(full, *fields)
    assert _send(full, "/jobs/new", *fields).status == 400
    assert _targets(full.web.app) == [("openai/gpt-oss-20b", 2)]


def test_a_job_is_asked_for_and_watched_on_the_first_page(
    served: "Served", shelf: "Shelf", app: "App"
) -> None:
    shelf.palettes(*SEEDS)
    answer = _send(served, "/jobs/new", ("model", GROQ), ("runs", "2"), ("budget", "1.50"))
    with app.store.read() as connection:
        [placed] = list_passes(connection)

    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert answer.notice == "12 requests are due for 6 palettes. Of the budget, $1.50 are left."
    assert _targets(app) == [("openai/gpt-oss-20b", 2)]
    assert placed.budget == to_pico(1.5)


def test_with_a_script_the_browser_is_told_to_go_on(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(*SEEDS)
    answer = _send(served, "/jobs/new", ("model", GROQ), hx_request="true")
    refused = _send(served, "/jobs/new", hx_request="true")

    assert (answer.status, answer.headers["hx-redirect"]) == (204, "/")
    assert refused.status == 400
    assert 'hx-target="#notices"' in refused.html
    assert "choose at least one model" in refused.html


def test_a_form_that_is_sent_twice_asks_once(served: "Served", shelf: "Shelf", app: "App") -> None:
    shelf.palettes(*SEEDS[:2])
    [key] = _KEY.findall(served.get("/jobs/new"))
    fields = (("filled", "1"), ("once", key), ("model", GROQ))
    first = served.post("/jobs/new", *fields)
    shelf.palettes(*SEEDS[2:])
    second = served.post("/jobs/new", *fields)

    assert first.notice == second.notice
    assert served.post("/jobs/new", ("filled", "1"), ("model", GROQ)).status == 400
    assert _targets(app) == [("openai/gpt-oss-20b", 1)]


def test_models_without_a_key_are_said_to_wait(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(*SEEDS)
    fields = (("model", GROQ), ("model", "openai/gpt-4o-mini"))

    assert "<code>OPENAI_API_KEY</code> is not set: gpt-4o-mini must wait" in _estimate(
        served, *fields
    )
    assert "gpt-4o-mini must wait" in _send(served, "/jobs/new", *fields).notice


def test_a_model_without_a_price_is_refused_under_a_budget(
    app: "App", serve: Callable[..., "Served"], shelf: "Shelf"
) -> None:
    (app.settings.home / "models.toml").write_text(UNPRICED)
    shelf.palettes(*SEEDS)
    served = serve()
    words = ("model", "groq/nameless")

    assert "price unknown" in served.get("/jobs/new")
    assert "<dt>Price</dt><dd>unknown</dd>" in _estimate(served, words)
    assert "there can be no budget" in _estimate(served, words, ("budget", "1"))


def test_a_demo_is_kept_away_from_real_providers(
    app: "App", served: "Served", shelf: "Shelf", monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.palettes(*SEEDS)
    monkeypatch.setattr(app, "is_demo", lambda: True)
    monkeypatch.setattr(app, "base_url", lambda _name: None)

    assert "is a demo&#39;s home" in _estimate(served, ("model", GROQ))
    assert _send(served, "/jobs/new", ("model", GROQ)).status == 400


def test_what_is_typed_is_shown_again_as_text(full: "Served") -> None:
    hostile = '"><script>alert(1)</script>'
    html = full.get(f"/jobs/new?{urlencode([('filled', '1'), ('runs', hostile)])}")

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_refinement_is_estimated_from_what_has_answers(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    words = [("source", shelf.version)]

    assert "<dt>Requests</dt><dd>2</dd>" in _estimate(served, *words, page="/refine")
    assert "<dt>Requests</dt><dd>1</dd>" in _estimate(
        served, *words, ("limit", "1"), page="/refine"
    )
    assert "Choose at least one prompt version" in _estimate(served, page="/refine")


def test_the_refine_page_offers_prompts_with_their_answers(
    served: "Served", shelf: "Shelf"
) -> None:
    shelf.fill()
    html = served.get("/refine")

    assert f'name="source" value="{shelf.version}" checked' in html
    assert "2 answers" in html
    assert 'value="anthropic/claude-opus-4-5-20251101" selected' in html


def test_refinements_are_asked_for_with_their_words(
    served: "Served", shelf: "Shelf", app: "App"
) -> None:
    shelf.fill()
    answer = _send(
        served, "/refine", ("source", shelf.version), ("blind", "1"),
        ("model", "anthropic/claude-opus-4-5-20251101"),
    )  # fmt: skip
    with app.store.read() as connection:
        [placed] = list_passes(connection)

    assert answer.headers["location"] == "/refine"
    assert answer.notice.startswith("2 requests are due for 2 palettes.")
    assert placed.asked["sources"] == [shelf.version]
    assert placed.asked["pictures"] is None


def test_every_provider_has_its_list(full: "Served") -> None:
    html = full.get("/jobs/new")

    assert [f'id="models-{name}"' in html for name in PROVIDERS] == [True] * len(PROVIDERS)
