import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.store.passes import list_passes

if TYPE_CHECKING:
    from tests.cli.conftest import Ops, Shelf

ONE = ("--model", "gpt-4o-mini")
UNPRICED = '[[models]]\nprovider = "openai"\nid = "gpt-free"\nsource = "nobody"\n'


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


@pytest.fixture
def palettes(shelf: "Shelf", ops: "Ops") -> None:
    """Three palettes, nothing asked for."""
    del shelf
    assert ops("palettes", "import", "-", stdin="\n".join(invented_seeds(3)).encode()).code == 0


def _passes(shelf: "Shelf") -> list[tuple[str, int | None]]:
    with shelf.store.read() as connection:
        return [(item.kind, item.budget) for item in list_passes(connection)]


@pytest.mark.usefixtures("palettes")
def test_an_estimate_says_requests_tokens_prices_and_what_is_saved(ops: "Ops") -> None:
    document = ops("cost", "estimate", *ONE, "--runs", "2", "--json").json()

    assert document["requests"] == 6
    assert document["saved_usd"] == document["standard_usd"] - document["batch_usd"] > 0
    assert document["most_usd"] > document["batch_usd"]
    assert document["limits"] == []
    assert "so $0.0009 are saved" in ops("cost", "estimate", *ONE, "--runs", "2").out


@pytest.mark.usefixtures("palettes")
def test_a_dry_run_is_the_same_estimate_and_writes_nothing(ops: "Ops", shelf: "Shelf") -> None:
    told = ops("cost", "estimate", *ONE, "--budget", "1", "--json").json()

    assert ops("tag", *ONE, "--dry-run", "--budget", "1", "--json").json() == told
    assert _passes(shelf) == []
    assert shelf.announced("targets") == []


@pytest.mark.usefixtures("palettes")
@pytest.mark.parametrize(
    ("budget", "verdict"),
    [("1", "suffices in any case"), ("0.001", "should suffice"), ("0", "may not suffice")],
)
def test_an_estimate_is_held_against_the_budget(ops: "Ops", budget: str, verdict: str) -> None:
    ran = ops("cost", "estimate", *ONE, "--budget", budget)

    assert "$0.0000 spent of the budget of $" in ran.out
    assert verdict in ran.out


@pytest.mark.usefixtures("palettes")
def test_an_estimate_of_refining_asks_one_model(ops: "Ops") -> None:
    assert ops("cost", "estimate", "--refine", "--json").json()["requests"] == 0
    for words in (("--provider", "openai"), (*ONE, "--model", "gpt-4.1-mini")):
        assert ops("cost", "estimate", "--refine", *words).code == 2


@pytest.mark.usefixtures("palettes")
def test_a_budget_is_written_down_and_told(ops: "Ops", shelf: "Shelf") -> None:
    ran = ops("tag", *ONE, "--budget", "0.25")

    assert ran.code == 0
    assert "the budget is now in force: $0.0000 spent of the budget of $0.2500" in ran.err
    assert _passes(shelf) == [("tagging", 250_000_000_000)]


@pytest.mark.usefixtures("palettes")
def test_a_budget_that_is_not_mentioned_stays_and_is_told(ops: "Ops", shelf: "Shelf") -> None:
    ops("tag", *ONE, "--budget", "0.25")
    assert "the budget is in force" in ops("tag", *ONE).err
    assert "the budget is in force" in ops("tag", *ONE, "--runs", "2").err

    lifted = ops("tag", *ONE, "--no-budget")
    assert (lifted.code, lifted.err) == (0, "")
    assert _passes(shelf) == [("tagging", None), ("tagging", None)]


@pytest.mark.usefixtures("palettes")
@pytest.mark.parametrize(
    "words",
    [
        ("--budget", "1", "--no-budget"),
        ("--budget", "-1"),
        ("--budget", "nan"),
        ("--budget", "inf"),
        ("--budget", "1e9"),
    ],
)
def test_a_budget_that_is_none_is_wrong_usage(
    ops: "Ops", shelf: "Shelf", words: tuple[str, ...]
) -> None:
    assert ops("tag", *ONE, *words).code == 2
    assert _passes(shelf) == []


@pytest.mark.usefixtures("palettes")
@pytest.mark.parametrize("words", [("tag",), ("tag", "--dry-run"), ("cost", "estimate")])
def test_a_model_without_a_price_is_refused_under_a_budget(
    ops: "Ops", home: Path, shelf: "Shelf", words: tuple[str, ...]
) -> None:
    (home / "models.toml").write_text(UNPRICED)
    ran = ops(*words, "--model", "gpt-free", "--budget", "1")

    assert (ran.code, ran.out) == (1, "")
    assert "the price of openai/gpt-free is not known" in ran.err
    assert _passes(shelf) == []
    assert shelf.announced("targets") == []


@pytest.mark.usefixtures("palettes")
def test_a_model_without_a_price_costs_unknown_without_a_budget(ops: "Ops", home: Path) -> None:
    (home / "models.toml").write_text(UNPRICED)

    assert "about unknown" in ops("cost", "estimate", "--model", "gpt-free").out
    assert ops("tag", "--model", "gpt-free").code == 0


@pytest.mark.usefixtures("palettes")
def test_the_standing_budget_is_a_limit_on_everything(
    ops: "Ops", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRABIENT_OPS_BUDGET_USD", "3.5")
    (limit,) = ops("cost", "estimate", *ONE, "--json").json()["limits"]

    assert (limit["limit"], limit["budget_usd"]) == ("the home's budget", 3.5)
    assert "the home's budget is in force" in ops("tag", *ONE).err


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much"])
def test_a_standing_budget_that_is_none_is_refused(
    ops: "Ops", monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("GRABIENT_OPS_BUDGET_USD", value)
    ran = ops("cost", "budget")

    assert ran.code == 1
    assert ran.err.startswith("error: GRABIENT_OPS_BUDGET_USD: ")


def _limits(ops: "Ops", *words: str) -> list[tuple[str, Any]]:
    document = ops("cost", "budget", *words, "--json").json()
    return [(item["limit"], item["budget_usd"]) for item in document]


@pytest.mark.usefixtures("palettes")
def test_budgets_are_shown_and_changed(ops: "Ops", monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no budget is in force" in ops("cost", "budget").out
    ops("tag", *ONE, "--budget", "0.25")
    assert _limits(ops, "--set", "0.5") == [("the budget", 0.5)]
    monkeypatch.setenv("GRABIENT_OPS_BUDGET_USD", "3")
    assert _limits(ops) == [("the budget", 0.5), ("the home's budget", 3)]
    assert "$0.5000" in ops("cost", "budget").out

    assert _limits(ops, "--lift") == [("the home's budget", 3)]
    assert ops("cost", "budget", "--lift", "--set", "1").code == 2


def test_changing_the_budget_of_nothing_is_one_line(ops: "Ops") -> None:
    ran = ops("cost", "budget", "--set", "1")

    assert (ran.code, ran.out) == (1, "")
    assert "nothing was asked for under prompt" in ran.err


def test_a_report_shows_every_model_the_sums_and_the_date_of_prices(
    ops: "Ops", shelf: "Shelf"
) -> None:
    seeds = invented_seeds(2)
    shelf.plan(*seeds)
    shelf.respond(*seeds)
    ran = ops("cost", "report")

    row = " tagging   groq       openai/gpt-oss-20b         2          1,400             180"
    assert row in ran.out
    assert "prices as of 2026-" in ran.out
    document = ops("cost", "report", "--by", "palette", "--limit", "1", "--json").json()
    assert len(document["rows"]) == 1
    assert document["total"]["cost_pico"] == 2 * document["rows"][0]["cost_pico"] > 0


def test_the_doctor_knows_what_waits_for_money_from_what_is_in_flight(
    ops: "Ops", shelf: "Shelf"
) -> None:
    seeds = invented_seeds(2)
    shelf.plan(*seeds)
    batch_id = shelf.batch(*seeds, state="over_budget")
    checks = {row["name"]: row for row in ops("doctor", "--json").json()["checks"]}

    assert checks["budget"]["detail"] == f"waiting for money, see `cost budget`: {batch_id}"
    assert (checks["batches"]["status"], checks["batches"]["detail"]) == ("ok", "0 in flight")


def test_a_report_by_anything_else_is_wrong_usage(ops: "Ops") -> None:
    ran = ops("cost", "report", "--by", "colour")

    assert ran.code == 2
    assert "'provider', 'model', 'run', 'prompt-version', 'palette'" in ran.err


@pytest.mark.parametrize("options", [[], ["--json"], ["--by", "provider"]])
def test_cost_alone_means_the_report(ops: "Ops", options: list[str]) -> None:
    ran = ops("cost", *options)

    assert ran.code == 0
    assert ran == ops("cost", "report", *options)


def test_the_report_of_an_empty_home_is_all_zero(ops: "Ops") -> None:
    document = json.loads(ops("cost", "report", "--json").out)

    assert (document["total"]["cost_usd"], document["passes"]) == (0, [])
    assert ops("cost", "report").code == 0
