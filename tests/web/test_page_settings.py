"""Settings, limits and models on the dashboard, over HTTP."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from grabient_ops.pipeline.limits import to_pico
from grabient_ops.settings import Settings
from grabient_ops.store.passes import Pass, list_passes, save_pass
from grabient_ops.web.pages.settings import group_settings
from tests.web.conftest import NOW

if TYPE_CHECKING:
    from grabient_ops.app import App
    from tests.web.conftest import Served, Shelf

_KEY = re.compile(r'name="once" value="([^"]+)"')
SECRET = "sk-this-must-never-be-shown"


def _ask(app: "App", version: str) -> None:
    """Open a pass under a prompt version."""
    asked = Pass("pass", "tagging", version, {"models": []}, {}, None, None, NOW, NOW)
    with app.store.write() as connection:
        save_pass(connection, asked)


def _budget(app: "App") -> int | None:
    with app.store.read() as connection:
        return list_passes(connection)[0].budget


def test_every_setting_is_shown_once_with_its_variable(tmp_path: Path) -> None:
    lines = [line for group in group_settings(Settings(home=tmp_path)) for line in group.lines]
    variables = [name for line in lines for name in line.variables]

    assert len(lines) == len(Settings.model_fields)
    assert len(variables) == len(set(variables))
    assert {"GRABIENT_OPS_HOME", "OPENAI_API_KEY", "GEMINI_API_KEY"} <= set(variables)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    secrets = {
        name: SecretStr(SECRET)
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    addresses = {
        "database_url": f"postgresql+psycopg://user:{SECRET}@db.internal/ops?password={SECRET}",
        "openai_base_url": f"http://user:{SECRET}@proxy.internal:8080/v1",
        "otlp_url": f"http://collector/?token={SECRET}",
    }
    settings = Settings(home=tmp_path).model_copy(update={**secrets, **addresses})
    shown = {
        line.variables[0]: line.value for group in group_settings(settings) for line in group.lines
    }

    assert SECRET not in str(shown)
    assert shown["ANTHROPIC_API_KEY"] == "set"
    assert shown["GRABIENT_OPS_DATABASE_URL"] == "postgresql+psycopg://db.internal/ops"
    assert shown["OPENAI_BASE_URL"] == "http://proxy.internal:8080/v1"


@pytest.mark.parametrize("text", ["http://[broken", "http://host:not-a-port/"])
def test_an_address_that_cannot_be_read_is_not_shown(tmp_path: Path, text: str) -> None:
    settings = Settings(home=tmp_path).model_copy(update={"otlp_url": text})
    values = [line.value for group in group_settings(settings) for line in group.lines]

    assert "an address that cannot be read" in values
    assert text not in values


def test_the_page_says_what_is_set_and_what_is_default(served: "Served", app: "App") -> None:
    html = served.get("/settings")

    assert str(app.settings.home) in html
    assert re.search(r"GRABIENT_OPS_MAX_ATTEMPTS</code>.*?>3</span>.*?by default", html, re.DOTALL)
    assert "No budget is in force" in html


def test_a_budget_is_changed_and_lifted(served: "Served", shelf: "Shelf", app: "App") -> None:
    shelf.register()
    _ask(app, shelf.version)

    def send(*fields: tuple[str, str]) -> str:
        [key] = _KEY.findall(served.get("/settings"))
        prompt = ("prompt", shelf.version)
        return served.post("/settings/budget", ("once", key), prompt, *fields).notice

    assert send(("budget", "12.50")) == "The budget is set; what waits goes on."
    assert _budget(app) == to_pico(12.5)
    assert "$12.50" in served.get("/settings")
    assert send(("lift", "1")) == "The budget is lifted."
    assert _budget(app) is None


@pytest.mark.parametrize(
    "fields", [[], [("budget", "-1")], [("budget", "1"), ("lift", "1")], [("budget", "inf")]]
)
def test_a_budget_that_makes_no_sense_is_refused(
    full: "Served", fields: list[tuple[str, str]]
) -> None:
    assert full.post("/settings/budget", ("once", "key"), *fields).status == 400


def test_a_budget_of_a_prompt_that_nobody_asked_with_is_refused(full: "Served") -> None:
    answer = full.post("/settings/budget", ("once", "k"), ("prompt", "ffff"), ("budget", "1"))

    assert answer.status == 400
    assert "no prompt version begins" in answer.html


def test_models_are_listed_with_lifecycle_prices_and_key(full: "Served", app: "App") -> None:
    html = full.get("/models")
    today = app.services.now().date()

    for model in app.catalog.models:
        assert f"<bdi>{model.id}</bdi>" in html
        if model.status(today) != "active":
            assert f"{model.retires_on}" in html
    assert html.count("is not set</span>") == 4
    assert html.count("default</span>") == len(app.catalog.defaults())
    assert "$0.0375" in html
