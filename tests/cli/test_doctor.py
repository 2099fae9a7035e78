import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grabient_ops.app import App
from grabient_ops.settings import Settings
from grabient_ops.store.leases import join

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.cli.conftest import Ops, Ran, Shelf

SECRET = "sk-very-secret-0123456789abcdef"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def configured(shared_sandbox: "Sandbox", monkeypatch: pytest.MonkeyPatch) -> None:
    """All four providers are reachable."""
    for name, value in shared_sandbox.env.items():
        monkeypatch.setenv(name, value)


def findings(ran: "Ran") -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["status"], row["detail"]) for row in ran.json()["checks"]}


@pytest.mark.usefixtures("configured")
def test_all_is_well_when_every_provider_answers(ops: "Ops") -> None:
    ran = ops("doctor", "--json")

    found = findings(ran)
    for name in ("openai", "anthropic", "google", "groq"):
        assert found[name][0] == "ok"
        assert found[name][1].endswith("reachable, key accepted")
    assert {"home", "disk", "sqlite", "store", "catalog", "worker", "batches"} <= set(found)
    assert ran.json()["ok"] is (ran.code == 0)


@pytest.mark.usefixtures("configured")
def test_an_unreachable_provider_is_a_problem(ops: "Ops", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_BASE_URL", NOBODY)

    ran = ops("doctor", "--json")

    assert ran.code == 1
    assert findings(ran)["groq"][0] == "problem"
    assert ran.err.startswith("error: something is wrong with: ")
    assert ran.err.count("\n") == 1


@pytest.mark.usefixtures("configured")
def test_a_key_that_is_refused_or_impossible_is_a_problem_and_never_shown(
    ops: "Ops", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("GROQ_API_KEY", f"invalid-{SECRET}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", f"{SECRET} with a blank")

    found = findings(ops("doctor", "--json"))

    assert found["openai"] == ("off", "OPENAI_API_KEY is not set")
    assert found["anthropic"][0] == found["groq"][0] == "problem"
    assert "key refused" in found["groq"][1]
    assert SECRET not in repr(found)


def test_no_secret_is_ever_printed(ops: "Ops", monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GOOGLE", "GROQ"):
        monkeypatch.setenv(f"{provider}_API_KEY", SECRET)
        monkeypatch.setenv(f"{provider}_BASE_URL", f"http://user:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", f"http://user:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("GRABIENT_OPS_DATABASE_URL", f"sqlite+{SECRET}://u:{SECRET}@h/db")

    for ran in (ops("doctor"), ops("doctor", "--json"), ops("status")):
        assert ran.code == 1
        assert SECRET not in ran.out + ran.err


def test_without_any_key_nothing_can_be_tagged(ops: "Ops") -> None:
    ran = ops("doctor", "--json")

    assert ran.code == 1
    assert findings(ran)["keys"][0] == "problem"


def test_a_missing_key_is_a_problem_when_its_models_have_work(ops: "Ops", shelf: "Shelf") -> None:
    assert findings(ops("doctor", "--json"))["groq"][0] == "off"

    shelf.plan("seed")

    assert findings(ops("doctor", "--json"))["groq"][0] == "problem"


def late(shelf: "Shelf") -> str:
    return shelf.batch("a", submitted_at=shelf.now - timedelta(days=3))


def stopped(shelf: "Shelf") -> str:
    return shelf.batch("a", state="stopped")


@pytest.mark.parametrize(
    ("make", "what"), [(late, "not ended within 24 hours"), (stopped, "stopped, see")]
)
def test_batches_that_need_a_look_are_named(
    ops: "Ops", shelf: "Shelf", make: Callable[["Shelf"], str], what: str
) -> None:
    id_ = make(shelf)

    details = [row["detail"] for row in ops("doctor", "--json").json()["checks"]]

    assert any(what in detail and id_ in detail for detail in details)


@contextmanager
def _worked_on(app: App, shelf: "Shelf") -> Iterator[None]:
    """As if a worker ran: on SQLite it holds the home, on PostgreSQL a lease."""
    if app.settings.is_postgres:
        with app.store.write() as connection:
            join(connection, "somebody", "host", "0.1.0", 60.0, shelf.now)
    with app.hold_home():
        yield


def test_batches_in_flight_need_a_worker(ops: "Ops", shelf: "Shelf") -> None:
    shelf.batch("a", submitted_at=shelf.now)
    app = App(Settings())

    alone = findings(ops("doctor", "--json"))
    with _worked_on(app, shelf):
        attended = findings(ops("doctor", "--json"))

    assert (alone["worker"][0], attended["worker"][0]) == ("off", "ok")
    assert "no worker collects them" in alone["batches"][1]
    assert "no worker collects them" not in attended["batches"][1]
    assert re.search(r"process \d+|at work: somebody", attended["worker"][1])


def test_models_that_retire_or_have_no_price_are_named(ops: "Ops", home: Path) -> None:
    home.mkdir()
    (home / "models.toml").write_text(
        '[[models]]\nprovider = "openai"\nid = "gone"\nsource = "me"\ndefault = true\n'
        'retires_on = 2020-01-01\nneighbour = "gpt-6-luna"\n'
    )

    checks = ops("doctor", "--json").json()["checks"]

    assert [(row["status"], row["detail"]) for row in checks if row["name"] == "openai/gone"] == [
        ("problem", "retired on 2020-01-01; use gpt-6-luna"),
        ("warning", "its price is unknown, so no budget can be kept"),
    ]


def test_a_home_that_cannot_be_written_is_a_finding_not_a_crash(
    ops: "Ops", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRABIENT_OPS_HOME", "/proc/nowhere")

    found = findings(ops("doctor", "--json"))

    assert (found["home"][0], found["store"][0]) == ("problem", "problem")


def test_a_broken_models_file_is_a_finding_not_a_crash(ops: "Ops", home: Path) -> None:
    home.mkdir()
    (home / "models.toml").write_text("[")

    assert findings(ops("doctor", "--json"))["models"][0] == "problem"
