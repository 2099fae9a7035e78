"""Short versions of the bad days of `make torture`: whatever happens, the books agree."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.arena import Sandbox
from benchmarks.fleet import Fleet
from benchmarks.postgres import Server, running_server
from benchmarks.torture_days import (
    Trial,
    clock_jumps,
    full_disk,
    network_to_database,
    network_to_providers,
    two_on_one_home,
)
from benchmarks.torture_oracle import find_faults

pytestmark = pytest.mark.timeout(240)
_ONE_EACH = (
    "--model", "openai/gpt-4o-mini", "--model", "anthropic/claude-haiku-4-5-20251001",
    "--model", "google/gemini-2.5-flash-lite", "--model", "groq/openai/gpt-oss-20b",
)  # fmt: skip
_TAMPERED = {
    "UPDATE batches SET settled_cost = settled_cost + 1": "books say",
    "UPDATE palette_tags SET finish_reason = 'none'": "is not a rebuild",
    "UPDATE dbos.workflow_status SET status = 'PENDING'": "workflows PENDING",
    "UPDATE requests SET state = 'open'": "an open request",
    "UPDATE batches SET provider_batch_id = 'another'": "bought 1 batches",
    "DELETE FROM palette_tags": "asked 1, have rows of 0",
}


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that a test may end."""
    with running_server() as server:
        yield server


@pytest.fixture
def trial(tmp_path: Path, own_server: Server) -> Trial:
    return Trial(
        tmp_path, own_server, times=1, palettes=1, runs=2, latency_s=0.5, workers=1, words=_ONE_EACH
    )


def test_a_second_worker_on_a_sqlite_home_refuses_until_the_first_is_dead(trial: Trial) -> None:
    outcome = two_on_one_home(trial)

    assert outcome.told.startswith("1 of 1 times the second refused")
    assert outcome.faults == []


def test_a_full_disk_costs_nothing(trial: Trial) -> None:
    assert full_disk(trial, may_mount=False).faults == []


def test_clocks_that_jump_by_an_hour_buy_nothing_twice(trial: Trial) -> None:
    assert clock_jumps(trial).faults == []


def test_a_bad_line_to_the_providers_costs_nothing(trial: Trial) -> None:
    assert network_to_providers(trial).faults == []


def test_a_bad_line_to_the_database_costs_nothing(trial: Trial) -> None:
    assert network_to_database(trial).faults == []


def test_the_judge_sees_everything_that_was_tampered_with(sandbox: Sandbox, tmp_path: Path) -> None:
    home = tmp_path / "home"
    fleet = Fleet(tmp_path, f"sqlite:///{home / 'store.sqlite'}", sandbox, one_home=True)
    fleet.operator.add_palettes(1)
    fleet.operator.run("tag", "--model", "groq/openai/gpt-oss-20b", "--wait")
    assert find_faults(fleet) == []

    for sql, seen in _TAMPERED.items():
        with closing(sqlite3.connect(home / "store.sqlite")) as store:
            store.execute("ATTACH ? AS dbos", [str(home / "journal.sqlite")])
            store.execute(sql)
            store.commit()
        assert [fault for fault in find_faults(fleet) if seen in fault], sql
