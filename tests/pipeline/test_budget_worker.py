"""A whole pass under a budget: it stops in time, says so, and goes on when it may."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from grabient_ops.errors import InputError
from grabient_ops.pipeline.journal import open_client
from grabient_ops.pipeline.passes import Budget, Wish, open_pass
from grabient_ops.pipeline.recovery import cancel, list_workflows, restart, show_workflow
from grabient_ops.pipeline.services import RefinementChoice
from grabient_ops.pipeline.standstill import Standstill
from grabient_ops.pipeline.worker import Worker
from grabient_ops.providers.base import BatchRunning
from grabient_ops.store.progress import count_batches
from grabient_ops.store.spending import Spending, measure_spending
from tests.pipeline.conftest import for_a_while

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

COST = 100 * 75_000 + 20 * 300_000
"""Of one answer of the scripted provider, at gpt-4o-mini's batch prices, in pico-dollars."""


def _work(lab: "Lab", on_tick: Callable[[], None] | None = None) -> Standstill:
    worker = Worker(lab.services, lab.journal_url, timedelta(days=30))
    standstill = worker.run(until_done=True, on_tick=on_tick)
    assert standstill is not None
    return standstill


def _give(lab: "Lab", version: str, budget: Budget) -> None:
    open_pass(lab.services, Wish("tagging", version, [lab.model()], {"runs": 1}, budget), {})


def _want(lab: "Lab", palettes: int, affordable: int) -> str:
    """Ask for palettes to be tagged, with money for so many answers and not one more."""
    batch = lab.reserve(palettes)
    bound = lab.bound(batch)
    assert bound > COST
    _give(lab, batch.prompt_version, bound + (affordable - 1) * COST)
    return batch.prompt_version


def _spending(lab: "Lab") -> Spending:
    with lab.store.read() as connection:
        return measure_spending(connection)


def _states(lab: "Lab") -> dict[str, int]:
    with lab.store.read() as connection:
        return count_batches(connection)


def test_a_pass_spends_what_it_may_and_ends_with_a_reason(lab: "Lab") -> None:
    _want(lab, 7, affordable=4)
    standstill = _work(lab)

    assert standstill.blocked == {}
    assert str(standstill.over_budget).startswith("over budget, 3 requests wait: $0.000054 spent")
    assert [row["error_class"] for row in lab.rows()] == [None] * 4
    assert _spending(lab) == Spending(4 * COST, 0, in_flight=False)
    assert _states(lab)["over_budget"] == 1


def test_a_worker_whose_clock_is_behind_spends_what_it_may_and_no_more(lab: "Lab") -> None:
    _want(lab, 7, affordable=4)
    lab.clock.set(-3600)
    standstill = _work(lab)

    assert str(standstill.over_budget).startswith("over budget, 3 requests wait")
    assert [row["error_class"] for row in lab.rows()] == [None] * 4
    assert _spending(lab) == Spending(4 * COST, 0, in_flight=False)


def test_a_raised_budget_finishes_the_pass_and_buys_nothing_twice(lab: "Lab") -> None:
    version = _want(lab, 6, affordable=2)
    _work(lab)
    _give(lab, version, 10**12)

    assert _work(lab) == Standstill({})
    assert [row["error_class"] for row in lab.rows()] == [None] * 6
    assert _spending(lab) == Spending(6 * COST, 0, in_flight=False)
    assert _states(lab) == {"completed": len(lab.batches())}
    assert sum(sent.request_count for sent in lab.openai.accepted.values()) == 6


def test_starting_again_without_more_money_sends_nothing_and_opens_no_journal(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.pipeline.worker.launch_journal", pytest.fail)
    _want(lab, 3, affordable=0)
    for _ in range(2):
        assert str(_work(lab).over_budget).startswith("over budget, 3 requests wait")

    assert lab.openai.calls == []


def test_a_running_worker_goes_on_as_soon_as_the_budget_is_raised(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.pipeline.worker._PLAN_AT_LEAST_EVERY_S", 300.0)
    groq = lab.providers["groq"]
    groq.states.extend([BatchRunning()] * 100_000)
    lab.palettes(1)
    version = lab.want("groq")
    raised_at: list[float] = []
    took_s: list[float] = []

    def act() -> None:
        if "waiting" in _states(lab) and len(lab.batches()) == 1:
            _give(lab, version, 0)
            lab.want("openai")
        elif "over_budget" in _states(lab) and not raised_at:
            raised_at.append(time.monotonic())
            _give(lab, version, 10**12)
        elif raised_at and lab.rows() and not took_s:
            took_s.append(time.monotonic() - raised_at[0])
            groq.states.clear()

    assert _work(lab, for_a_while(groq, act)) == Standstill({})
    assert len(lab.rows()) == 2
    # Sooner than it would have looked by itself.
    assert took_s[0] < 60


def test_a_batch_that_waits_for_money_can_be_cancelled(lab: "Lab") -> None:
    _want(lab, 3, affordable=0)
    _work(lab)
    (batch,) = lab.batches()
    cancel(lab.services, batch.id)

    assert _work(lab) == Standstill({})
    assert lab.services.batch(batch.id).state == "canceled"
    assert [row["error_class"] for row in lab.rows()] == ["canceled"] * 3
    assert lab.openai.calls == []
    assert _spending(lab) == Spending(0, 0, in_flight=False)


def test_a_running_worker_heeds_the_cancel_of_a_batch_that_waits_for_money(lab: "Lab") -> None:
    groq = lab.providers["groq"]
    groq.states.extend([BatchRunning()] * 100_000)
    lab.palettes(1)
    version = lab.want("groq")

    def act() -> None:
        waiting = [batch for batch in lab.batches() if batch.state == "over_budget"]
        if "waiting" in _states(lab) and len(lab.batches()) == 1:
            _give(lab, version, 0)
            lab.want("openai")
        elif waiting and waiting[0].cancel_requested_at is None:
            cancel(lab.services, waiting[0].id)
        elif "canceled" in _states(lab):
            groq.states.clear()

    assert _work(lab, for_a_while(groq, act)) == Standstill({})
    assert _states(lab) == {"canceled": 1, "completed": 1}
    assert lab.openai.calls == []


def test_what_waits_for_money_is_among_the_workflows(lab: "Lab") -> None:
    _want(lab, 3, affordable=0)
    _work(lab)
    (batch,) = lab.batches()
    journal = open_client(lab.journal_url)
    try:
        for state in (None, "over_budget"):
            (workflow,) = list_workflows(lab.services, journal, state=state)
            assert (workflow.id, workflow.state) == (batch.workflow_id, "over_budget")
            assert workflow.error == batch.error
            assert show_workflow(lab.services, journal, batch.id) == (workflow, [])
        assert list_workflows(lab.services, journal, state="running") == []
        with pytest.raises(InputError, match="waits for room in a budget"):
            restart(lab.services, journal, batch.id, None)
    finally:
        journal.destroy()


def test_a_refinement_that_begins_by_itself_stays_within_the_budget_of_the_tagging(
    lab: "Lab",
) -> None:
    choice = RefinementChoice(lab.model("groq"), None)
    lab.services = replace(lab.services, refine_after=choice)
    version = _want(lab, 2, affordable=2)
    standstill = _work(lab)

    assert "over budget, 2 requests wait" in str(standstill.over_budget)
    assert [(batch.kind, batch.state) for batch in lab.batches() if not batch.ended_at] == [
        ("refinement", "over_budget")
    ]
    assert lab.providers["groq"].calls == []

    _give(lab, version, 10**12)
    assert _work(lab) == Standstill({})
    assert "create" in lab.providers["groq"].calls
