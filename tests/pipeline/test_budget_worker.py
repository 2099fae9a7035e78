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
from grabient_ops.pipeline.worker import Standstill, Worker
from grabient_ops.providers.base import BatchRunning
from grabient_ops.store.spending import Spending, measure_spending

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

COST = 100 * 75_000 + 20 * 300_000
"""Of one answer of the scripted provider, at gpt-4o-mini's batch prices, in pico-dollars."""
BOUND = 700_000_000
"""More than any request of the tests may cost."""


def _journal_url(lab: "Lab") -> str:
    return f"sqlite:///{lab.folder / 'journal.sqlite'}"


def _work(lab: "Lab", on_tick: Callable[[], None] | None = None) -> Standstill:
    worker = Worker(lab.services, _journal_url(lab), timedelta(days=30))
    standstill = worker.run(until_done=True, on_tick=on_tick)
    assert standstill is not None
    return standstill


def _give(lab: "Lab", version: str, budget: Budget) -> None:
    open_pass(lab.services, Wish("tagging", version, [lab.model()], {"runs": 1}, budget), {})


def _want(lab: "Lab", count: int, budget: Budget) -> str:
    lab.palettes(count)
    version = lab.want()
    _give(lab, version, budget)
    return version


def _spending(lab: "Lab") -> Spending:
    with lab.store.read() as connection:
        return measure_spending(connection)


def _states(lab: "Lab") -> dict[str, int]:
    return dict(lab.query("SELECT state, count(*) FROM batches GROUP BY state"))  # type: ignore[arg-type]


def _until(condition: Callable[[], bool], act: Callable[[], object]) -> Callable[[], None]:
    """What to do at every tick: act once, as soon as the condition holds."""
    done: list[object] = []

    def tick() -> None:
        if not done and condition():
            done.append(act())

    return tick


def test_a_pass_spends_what_it_may_and_ends_with_a_reason(lab: "Lab") -> None:
    _want(lab, 12, 4 * BOUND)
    standstill = _work(lab)

    assert standstill.blocked == {}
    assert "over budget, " in str(standstill.over_budget)
    answers = len(lab.rows())
    assert 4 <= answers < 12
    assert _spending(lab) == Spending(answers * COST, 0, in_flight=False)
    assert _spending(lab).committed <= 4 * BOUND
    assert _states(lab)["over_budget"] == 1


def test_every_round_sends_more_until_not_even_one_request_fits(lab: "Lab") -> None:
    version = _want(lab, 12, 4 * BOUND)
    _work(lab)
    waiting = lab.batches()[-1]

    with lab.store.read() as connection:
        from grabient_ops.pipeline.bounds import bound_of_batch

        bound = bound_of_batch(lab.services, connection, waiting)
    assert waiting.prompt_version == version
    assert 4 * BOUND - _spending(lab).committed < (bound or 0)


def test_a_raised_budget_finishes_the_pass_and_buys_nothing_twice(lab: "Lab") -> None:
    version = _want(lab, 6, 2 * BOUND)
    _work(lab)
    _give(lab, version, 100 * BOUND)

    assert _work(lab) == Standstill({})
    assert [row["error_class"] for row in lab.rows()] == [None] * 6
    assert _spending(lab) == Spending(6 * COST, 0, in_flight=False)
    assert _states(lab) == {"completed": len(lab.batches())}
    assert sum(s.request_count for s in lab.openai.accepted.values()) == 6


def test_starting_again_without_more_money_sends_nothing_and_opens_no_journal(lab: "Lab") -> None:
    _want(lab, 3, 0)
    assert "over budget, 3 requests" in str(_work(lab).over_budget)
    assert "over budget, 3 requests" in str(_work(lab).over_budget)

    assert lab.openai.calls == []
    assert not (lab.folder / "journal.sqlite").exists()


def test_a_running_worker_goes_on_as_soon_as_the_budget_is_raised(lab: "Lab") -> None:
    lab.palettes(2)
    version = lab.want("openai", "groq")
    _give(lab, version, 4 * BOUND)
    lab.providers["groq"].states.extend([BatchRunning()] * 100_000)

    def over_budget() -> bool:
        return "over_budget" in _states(lab)

    raised_at: list[float] = []

    def raise_it() -> None:
        raised_at.append(time.monotonic())
        _give(lab, version, 100 * BOUND)

    def answered_fast() -> bool:
        return bool(raised_at) and len(lab.rows()) == 2

    took: list[float] = []

    def finish() -> None:
        took.append(time.monotonic() - raised_at[0])
        lab.providers["groq"].states.clear()

    _give(lab, version, 0)
    lab.services.update(lab.plan().reserved[0], reserved_cost=0)
    ticks = [_until(over_budget, raise_it), _until(answered_fast, finish)]
    standstill = _work(lab, lambda: [tick() for tick in ticks] and None)

    assert standstill == Standstill({})
    assert len(lab.rows()) == 4
