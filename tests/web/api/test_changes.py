import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx2
import pytest
from fastapi.testclient import TestClient

from grabient_ops.app import App
from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.store.notes import list_notes
from grabient_ops.store.passes import list_passes
from grabient_ops.store.targets import list_model_targets
from grabient_ops.web.app import create_web
from tests.web.api.conftest import HERE, Api
from tests.web.conftest import HOSTILE

if TYPE_CHECKING:
    from tests.web.conftest import Served


def test_tagging_is_estimated_asked_for_and_written_down(api: Api) -> None:
    estimate = api.get("/tagging/estimate", models="openai/gpt-oss-120b", runs=2, budget_usd=5)
    wanted = {"models": ["openai/gpt-oss-120b"], "runs": 2, "budget_usd": 5}

    accepted = api.post("/tagging", wanted, 202)

    assert accepted["requests"] == estimate["requests"] == 12
    assert accepted["models"] == ["groq/openai/gpt-oss-120b"]
    assert accepted["limits"][0]["budget_usd"] == 5
    assert estimate["limits"][0]["covers_most"] is True
    with api.shelf.app.store.read() as connection:
        asked = [target[2:4] for target in list_model_targets(connection)]
        assert ("openai/gpt-oss-120b", 2) in asked
        assert len(list_passes(connection)) == 1


def test_models_without_a_key_wait_and_are_named(api: Api) -> None:
    accepted = api.post("/tagging", {"models": ["gpt-4o-mini", "openai/gpt-oss-20b"]}, 202)

    assert accepted["waiting"] == {"OPENAI_API_KEY": ["gpt-4o-mini"]}


def test_a_key_for_none_of_the_models_is_a_problem(api: Api) -> None:
    problem = api.post("/tagging", {"models": ["gpt-4o-mini"]}, 422)

    assert "OPENAI_API_KEY" in problem["detail"]


def test_a_command_with_a_key_is_done_once(api: Api) -> None:
    first = api.post("/errors/retry", {}, key="k1")

    again = api.client.post("/errors/retry", json={}, headers={"idempotency-key": "k1"})

    assert first == {"requests": 1}
    assert (again.json(), again.headers["idempotent-replayed"]) == (first, "true")
    assert api.post("/errors/retry", {}) == {"requests": 0}


def test_the_key_of_a_command_is_known_after_a_restart(api: Api) -> None:
    first = api.post("/errors/retry", {}, key="k1")
    authorization = api.client.headers["authorization"]
    web = create_web(App(api.shelf.app.settings))
    later = TestClient(web, HERE, headers={"authorization": authorization})

    assert api._replace(client=later).post("/errors/retry", {}, key="k1") == first


def test_a_key_is_for_one_command_only(api: Api) -> None:
    api.post("/errors/retry", {}, key="k1")

    problem = api.post("/errors/retry", {"kind": "tagging"}, 422, key="k1")

    assert "another command" in problem["detail"]


def test_a_refused_command_is_replayed_as_refused(api: Api) -> None:
    wanted = {"models": ["nobody"]}
    answers = [api.post("/tagging", wanted, 422, key="k") for _ in range(2)]

    assert answers[0] == answers[1]


def test_a_batch_is_cancelled_by_any_of_its_names(api: Api) -> None:
    canceled = api.post("/batches/batch-of-groq/cancel", status=202)

    assert (canceled["id"], bool(canceled["cancel_requested_at"])) == (api.batch, True)


def test_what_cannot_be_resumed_says_why(api: Api) -> None:
    problem = api.post("/workflows/{batch}/resume", status=422)

    assert "no longer in the journal" in problem["detail"]


def test_failures_are_counted_listed_and_asked_again(api: Api) -> None:
    (group,) = api.get("/errors")["tagging"]
    (row,) = api.get("/errors/list", error_class="unparsable")["items"]

    assert (group["error_class"], group["unanswered"], row["response"]) == (
        "unparsable",
        1,
        HOSTILE,
    )
    assert api.get("/errors/list", error_class="refused")["items"] == []
    assert api.post("/errors/retry", {"error_class": "refused"}) == {"requests": 0}
    assert api.post("/errors/retry", {"model": "openai/gpt-oss-20b"}) == {"requests": 1}


def test_a_prompt_is_registered_used_and_compared(api: Api) -> None:
    new = api.post("/prompts", {"content": "Tag it.\nIn JSON.", "message": "short"}, 201)

    diff = api.get(f"/prompts/{{prompt}}/diff/{new['version']}")
    listed = {prompt["version"]: prompt["current"] for prompt in api.get("/prompts")}

    assert (new["new"], new["current"], listed[new["version"]]) == (True, True, True)
    assert "+Tag it." in diff["diff"]
    assert api.post("/prompts/builtin/use", {})["version"] == api.shelf.version
    with api.shelf.app.store.read() as connection:
        assert current_prompt(connection) == api.shelf.version


def test_a_budget_is_set_and_lifted(api: Api) -> None:
    api.post("/tagging", {"models": ["openai/gpt-oss-20b"]}, 202)

    (budget,) = api.post("/budgets", {"usd": 2.5})

    assert (budget["budget_usd"], budget["prompt_version"]) == (2.5, api.shelf.version)
    assert api.get("/budgets") == [budget]
    assert api.post("/budgets", {"usd": None}) == []


def test_two_who_send_the_same_command_at_once_get_one_answer(
    api: Api, serve: "Callable[..., Served]", monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def register_slowly(_services: object, content: str, *_: object, **_named: object) -> object:
        calls.append(content)
        time.sleep(0.3)
        return f"version-{len(calls)}", True

    monkeypatch.setattr("grabient_ops.web.api.prompts.register_prompt_text", register_slowly)
    client = httpx2.Client(base_url=serve(web=api.client.app).url, headers=api.client.headers)
    wanted = {"content": "x", "message": "y"}

    def post(_: int) -> str:
        named = {"idempotency-key": "k1"}
        return client.post("/api/v1/prompts", json=wanted, headers=named).text

    with client, ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(post, range(4)))

    assert (len(calls), len(answers)) == (1, 1)


def test_what_was_answered_is_forgotten_after_a_day(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.post("/errors/retry", {}, key="k1")
    monkeypatch.setattr("grabient_ops.web.api.replays._KEPT_FOR", timedelta(0))

    assert api.post("/errors/retry", {}, key="k1") == {"requests": 0}
    with api.shelf.app.store.read() as connection:
        assert len(list_notes(connection, "replay ")) == 1


def test_a_key_has_a_sensible_length(api: Api) -> None:
    assert "200 characters" in api.post("/errors/retry", {}, 400, key="k" * 201)["detail"]
