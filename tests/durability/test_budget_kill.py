"""A budget holds whatever happens: `kill -9` at random instants, and faults at every provider."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.arena import Home, Sandbox, kill_hard, start_sandbox
from grabient_ops.providers.catalog import load_catalog
from grabient_ops.tagging.usage import Usage

if TYPE_CHECKING:
    from tests.conftest import SandboxStarter

KILLS = 6
PALETTES = 3
RUNS = 2
PICO = 10**12
FAULTS = {
    "accept_then_drop": 0.2, "accept_then_500": 0.1, "missing_ids": 0.15, "expire": 0.1,
    "half_failed": 0.1, "malformed_line": 0.1, "duplicate_ids": 0.1, "truncated_download": 0.1,
    "rate_limit": 0.03, "server_error": 0.02, "unavailable": 0.02,
}  # fmt: skip
CATALOG = load_catalog()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = start_sandbox(latency_s=0.4)
    sandbox.faults(**FAULTS)
    yield sandbox
    sandbox.stop()


@pytest.mark.timeout(300)
def test_spending_never_passes_the_budget_and_goes_on_when_it_is_raised(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home", sandbox.env)
    home.add_palettes(PALETTES)
    instants = random.Random(2026)
    words = ("tag", "--runs", str(RUNS), "--wait")
    estimate = home.json("cost", "estimate", "--runs", str(RUNS))
    budget = estimate["batch_usd"] / 2

    for _ in range(KILLS):
        _kill_after(home, (*words, "--budget", str(budget)), instants.uniform(0.7, 3))
        _assert_within(sandbox, home, budget)
    said = home.run(*words, "--budget", str(budget), fails=True)

    assert "over budget" in said
    _assert_within(sandbox, home, budget)
    assert home.json("status")["batches"]["over_budget"] > 0

    raised = estimate["most_usd"] * 3
    home.run(*words, "--budget", str(raised))

    _assert_within(sandbox, home, raised)
    _assert_finished(home)


@pytest.mark.timeout(240)
def test_who_follows_a_worker_is_told_when_only_money_is_missing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home", sandbox.env)
    home.add_palettes(1)
    worker = home.start("worker")
    try:
        said = home.run("tag", "--provider", "groq", "--budget", "0", "--wait", fails=True)
    finally:
        kill_hard(worker)

    assert "error: over budget, 2 requests wait: $0.0000 spent of the budget of $0.0000" in said
    assert sandbox.ledger()["batches"] == []


@pytest.mark.timeout(240)
def test_without_faults_the_books_are_the_bill(
    sandbox_starter: "SandboxStarter", tmp_path: Path
) -> None:
    sandbox = sandbox_starter()
    home = Home(tmp_path / "home", sandbox.env)
    home.add_palettes(2)
    home.run("tag", "--wait")

    billed = sum(map(_price, sandbox.call("/sandbox/ledger?tokens")["batches"]))
    assert home.rows("SELECT sum(settled_cost), sum(reserved_cost) FROM batches") == [(billed, 0)]


def _kill_after(home: Home, words: tuple[str, ...], seconds: float) -> None:
    worker = home.start(*words)
    try:
        worker.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_hard(worker)


def _assert_within(sandbox: Sandbox, home: Home, budget_usd: float) -> None:
    """What the providers bill stays below our books, and our books below the budget."""
    billed = sum(map(_price, sandbox.call("/sandbox/ledger?tokens")["batches"]))
    [(committed,)] = home.rows(
        "SELECT coalesce(sum(coalesce(settled_cost, 0) + reserved_cost), 0) FROM batches"
    )
    assert billed <= committed <= round(budget_usd * PICO)


def _price(batch: dict[str, Any]) -> int:
    prices = CATALOG.get(batch["provider"], batch["model"]).prices
    assert prices is not None
    tokens = (batch[name] for name in ("input_tokens", "output_tokens", "cached_tokens"))
    return prices.batch_cost(Usage(*tokens))


def _assert_finished(home: Home) -> None:
    runs = home.json("status")["runs"]
    assert [run["expected"] for run in runs] == [PALETTES * 10] * RUNS
    assert [run["pending"] for run in runs] == [0] * RUNS
    assert not home.rows("SELECT 1 FROM requests WHERE state = 'open'")
    assert not home.rows("SELECT 1 FROM batches WHERE ended_at IS NULL OR settled_cost IS NULL")
    report = home.json("cost", "report", "--by", "palette")
    settled = home.rows("SELECT sum(settled_cost) FROM batches")[0][0]
    assert (
        sum(row["cost_pico"] for row in report["rows"]) == report["total"]["cost_pico"] == settled
    )
