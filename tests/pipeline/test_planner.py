from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from grabient_ops.errors import AuthenticationError, UnavailableError
from grabient_ops.pipeline import runs
from grabient_ops.pipeline.completion import complete
from grabient_ops.pipeline.prompting import register_prompt_text, use_prompt
from grabient_ops.pipeline.runs import Plan, Planner
from grabient_ops.pipeline.tagging import request_runs
from grabient_ops.pipeline.waiting import End
from grabient_ops.providers.catalog import Catalog
from grabient_ops.store.batches import Batch
from grabient_ops.store.failures import excuse_errors

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

QUEUE_IS_FULL: End = {"how": "rejected", "files": [], "message": "enqueued", "queue_full": True}


@pytest.fixture
def planner(lab: "Lab") -> Planner:
    """The planner of a running worker."""
    return Planner(lab.services)


def _limited(lab: "Lab", **limits: object) -> Planner:
    """A planner in whose catalog every model has these limits."""
    models = [replace(model, **limits) for model in lab.services.catalog.models]  # type: ignore[arg-type]
    lab.services = replace(lab.services, catalog=Catalog(models))
    return Planner(lab.services)


def _open(lab: "Lab") -> list[Batch]:
    return [batch for batch in lab.batches() if batch.ended_at is None]


def _answer(lab: "Lab", *batches: Batch, error_class: str | None = None) -> None:
    """Close batches in which every request got an answer, or failed."""
    for batch in batches or _open(lab):
        lab.respond(batch, error_class=error_class)
        lab.services.update(batch.id, state="completed", ended_at=lab.clock())


def _fail(lab: "Lab", planner: Planner, outcome: End | Exception) -> Plan:
    """Have every batch under way fail before anything was asked, and plan again."""
    for batch in _open(lab):
        complete(lab.services, batch.workflow_id, batch.id, outcome)
    return planner.plan()


def test_without_targets_nothing_is_planned(planner: Planner) -> None:
    assert planner.plan() == Plan()


def test_every_pair_of_palette_and_model_is_reserved_once(lab: "Lab", planner: Planner) -> None:
    lab.palettes(4)
    lab.want("openai", "groq")

    assert len(planner.plan().reserved) == 2
    assert planner.plan().reserved == []
    assert {(b.provider, b.request_count) for b in lab.batches()} == {("openai", 4), ("groq", 4)}


def test_without_news_there_is_no_look_soon_after_one_that_took_long(
    lab: "Lab", planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_REST_PER_WORK", 1e9)
    planner.plan()
    lab.palettes(4)
    lab.want("openai", "groq")

    assert planner.plan_for_safety().reserved == []
    assert len(planner.plan().reserved) == 2


def test_without_news_there_is_a_look_after_a_while(
    lab: "Lab", planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_REST_PER_WORK", 0)
    planner.plan()
    lab.palettes(4)
    lab.want("openai", "groq")

    assert len(planner.plan_for_safety().reserved) == 2


def test_the_end_of_a_rest_is_no_news_and_yet_looked_at(
    lab: "Lab", planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_REST_PER_WORK", 1e9)
    lab.services = replace(lab.services, policy=replace(lab.policy, retry_s=60.0))
    planner = Planner(lab.services)
    lab.palettes(2)
    lab.want()
    planner.plan()
    assert _fail(lab, planner, UnavailableError("openai", "503")).blocked
    assert planner.plan_for_safety().reserved == []

    lab.clock.forward(70)
    assert len(planner.plan_for_safety().reserved) == 1


def test_the_next_run_starts_by_itself_when_all_models_have_ended_this_one(
    lab: "Lab", planner: Planner
) -> None:
    lab.palettes(2)
    lab.want("openai", "groq", runs=2)
    planner.plan()
    first, second = lab.batches()

    _answer(lab, first)
    assert planner.plan().reserved == []
    _answer(lab, second)
    assert len(planner.plan().reserved) == 2
    assert [batch.run_number for batch in lab.batches()] == [1, 1, 2, 2]
    _answer(lab)
    assert planner.plan() == Plan()


def test_a_higher_target_asks_only_for_the_runs_that_are_missing(
    lab: "Lab", planner: Planner
) -> None:
    lab.palettes(2)
    lab.want()
    planner.plan()
    _answer(lab)
    planner.plan()
    lab.want(runs=2)
    planner.plan()

    assert [batch.run_number for batch in lab.batches()] == [1, 2]


def test_palettes_added_later_are_asked_alone(lab: "Lab", planner: Planner) -> None:
    lab.palettes(2)
    lab.want()
    planner.plan()
    _answer(lab)
    planner.plan()
    lab.palettes(3, first=2)
    lab.want()
    planner.forget()
    planner.plan()

    assert [batch.request_count for batch in lab.batches()] == [2, 3]


def test_prompt_versions_go_on_beside_each_other(lab: "Lab", planner: Planner) -> None:
    lab.palettes(2)
    older = lab.want(runs=2)
    planner.plan()
    newer, _ = register_prompt_text(lab.services, "a better prompt", "", use=True)
    lab.want(runs=1)
    planner.plan()

    by_version = {batch.prompt_version: batch for batch in lab.batches()}
    assert set(by_version) == {older, newer}
    _answer(lab, by_version[older])
    planner.plan()
    _answer(lab, by_version[newer])
    assert planner.plan().reserved == []
    runs = [(batch.prompt_version, batch.run_number) for batch in lab.batches()]
    assert sorted(runs) == sorted([(older, 1), (newer, 1), (older, 2)])
    assert use_prompt(lab.services, "builtin") == older


def test_failed_requests_are_asked_again_together_when_the_others_have_been_answered(
    lab: "Lab",
) -> None:
    planner = _limited(lab, batch_requests=2)
    lab.palettes(4)
    lab.want()
    planner.plan()
    first, second = lab.batches()
    _answer(lab, first, error_class="unparsable")
    assert planner.plan().reserved == []
    _answer(lab, second, error_class="truncated")
    planner.plan()
    for batch in _open(lab):
        _answer(lab, batch)
    planner.plan()

    assert [(b.attempt, b.request_count) for b in lab.batches()] == [(1, 2), (1, 2), (2, 2), (2, 2)]


def test_attempts_end_after_three_and_an_operator_may_grant_more(
    lab: "Lab", planner: Planner
) -> None:
    lab.palettes(1)
    lab.want()
    for _ in range(5):
        planner.plan()
        _answer(lab, error_class="unparsable")
    assert [batch.attempt for batch in lab.batches()] == [1, 2, 3]

    with lab.store.write() as connection:
        excuse_errors(connection, lab.clock())
    planner.forget()
    planner.plan()
    assert lab.batches()[-1].attempt == 4


@pytest.mark.parametrize("error_class", ["refused", "canceled", "invalid_request"])
def test_a_final_failure_is_not_asked_again(lab: "Lab", planner: Planner, error_class: str) -> None:
    lab.palettes(1)
    lab.want()
    planner.plan()
    _answer(lab, error_class=error_class)

    assert planner.plan() == Plan()


def test_batches_keep_to_the_limits_of_requests_and_bytes(lab: "Lab") -> None:
    lab.palettes(5)
    lab.want()
    _limited(lab, batch_requests=2).plan()
    assert [batch.request_count for batch in lab.batches()] == [2, 2, 1]
    assert [batch.chunk for batch in lab.batches()] == [1, 2, 3]

    lab.want("groq")
    _limited(lab, batch_requests=100, batch_bytes=15_000).plan()
    sizes = [batch.request_count for batch in lab.batches() if batch.provider == "groq"]
    assert sum(sizes) == 5
    assert max(sizes) < 5


def test_the_tokens_that_may_wait_at_a_provider_are_not_exceeded(lab: "Lab") -> None:
    lab.palettes(5)
    lab.want()
    planner = _limited(lab, queue_tokens=2500)
    waiting = []
    for _ in range(9):
        planner.plan()
        waiting.append(sum(batch.request_count for batch in _open(lab)))
        _answer(lab)
    planner.plan()

    assert max(waiting) < 5
    assert sum(batch.request_count for batch in lab.batches()) == 5


def test_a_model_that_cannot_work_does_not_hold_up_the_others(lab: "Lab", planner: Planner) -> None:
    lab.palettes(1)
    lab.want("openai", "groq", runs=2)
    lab.keys_missing["groq"] = "GROQ_API_KEY"
    for _ in range(2):
        planner.plan()
        _answer(lab)
    plan = planner.plan()

    assert [(b.provider, b.run_number) for b in lab.batches()] == [("openai", 1), ("openai", 2)]
    (block,) = plan.blocked.values()
    assert (block.reason, block.is_futile) == ("GROQ_API_KEY is not set", True)

    del lab.keys_missing["groq"]
    planner.plan()
    assert lab.batches()[-1].provider == "groq"


@pytest.mark.parametrize("change", ["gone", "retired"])
def test_a_model_that_is_gone_or_retired_is_blocked_with_a_reason(lab: "Lab", change: str) -> None:
    lab.palettes(1)
    lab.want("openai", "groq")
    if change == "gone":
        kept = [m for m in lab.services.catalog.models if m.provider == "groq"]
        lab.services = replace(lab.services, catalog=Catalog(kept))
        plan = lab.plan()
    else:
        plan = _limited(lab, retires_on=date(2020, 1, 1)).plan()

    block = plan.blocked["openai", "gpt-4o-mini"]
    assert block.is_futile
    expected = "No model is called" if change == "gone" else "the model retired on 2020-01-01"
    assert block.reason.startswith(expected)


def test_after_a_failed_submission_a_model_rests_longer_each_time(
    lab: "Lab", planner: Planner
) -> None:
    lab.palettes(1)
    lab.want()
    planner.plan()
    rests = []
    for _ in range(8):
        plan = _fail(lab, planner, AuthenticationError("openai", "wrong key"))
        (block,) = plan.blocked.values()
        assert block.until is not None
        rests.append((block.until - lab.clock()).total_seconds())
        assert block.reason == "openai: wrong key"
        assert block.is_futile == (len(rests) >= 3)
        lab.clock.forward(rests[-1] + 1)
        assert planner.plan().blocked == {}

    # The lab's clock goes on meanwhile, on a busy machine by a second.
    assert rests == pytest.approx([10, 20, 40, 80, 160, 320, 640, 900], abs=5)


def test_a_clock_that_is_set_back_lets_no_model_rest_until_it_has_caught_up(
    lab: "Lab", planner: Planner
) -> None:
    lab.palettes(1)
    lab.want()
    planner.plan()
    _fail(lab, planner, UnavailableError("openai", "down"))

    lab.clock.set(-3600)
    assert planner.plan().blocked == {}

    (block,) = _fail(lab, planner, UnavailableError("openai", "down")).blocked.values()
    assert block.until is not None
    assert round((block.until - lab.clock()).total_seconds()) == 10


def test_a_model_that_was_accepted_again_is_rested(lab: "Lab", planner: Planner) -> None:
    lab.palettes(1)
    lab.want(runs=2)
    planner.plan()
    _fail(lab, planner, UnavailableError("openai", "down"))
    lab.clock.forward(11)
    planner.plan()
    lab.clock.forward(1)
    _answer(lab)
    lab.clock.forward(1)

    assert planner.plan().blocked == {}
    (block,) = _fail(lab, planner, UnavailableError("openai", "down")).blocked.values()
    assert block.until is not None
    assert round((block.until - lab.clock()).total_seconds()) == 10


def test_a_new_worker_does_not_rest_for_what_an_older_one_met(lab: "Lab", planner: Planner) -> None:
    lab.palettes(1)
    lab.want()
    planner.plan()
    assert _fail(lab, planner, AuthenticationError("openai", "wrong key")).blocked

    assert lab.plan().blocked == {}


def test_a_refused_request_is_no_failed_submission(lab: "Lab", planner: Planner) -> None:
    lab.palettes(1)
    lab.want(runs=2)
    planner.plan()
    rejected = {**QUEUE_IS_FULL, "queue_full": False}

    assert _fail(lab, planner, rejected).blocked == {}
    assert lab.batches()[-1].run_number == 2


def test_a_full_queue_halves_what_is_sent_until_it_fits(lab: "Lab", planner: Planner) -> None:
    lab.palettes(8)
    lab.want()
    planner.plan()
    for _ in range(3):
        _fail(lab, planner, QUEUE_IS_FULL)
        lab.clock.forward(1000)
        planner.plan()
    sizes = [batch.request_count for batch in lab.batches()]
    assert sizes == [8, 4, 2, 1]

    # From now on one at a time, in the size that was taken.
    assert planner.plan().reserved == []
    for _ in range(7):
        _answer(lab)
        planner.plan()
    _answer(lab)
    assert [batch.request_count for batch in lab.batches()][4:] == [1] * 7
    assert planner.plan() == Plan()


def test_only_the_oldest_palettes_are_asked_when_there_is_a_limit(
    lab: "Lab", planner: Planner
) -> None:
    oldest = lab.palettes(2)
    lab.palettes(3, first=2)
    request_runs(lab.services, [lab.model()], 1, 2)
    planner.plan()

    assert lab.query("SELECT seed FROM requests ORDER BY position") == [(s,) for s in oldest]


def test_a_request_past_every_limit_of_ours_goes_alone(lab: "Lab") -> None:
    lab.palettes(2)
    lab.want()
    planner = _limited(lab, queue_tokens=5, batch_bytes=10)

    assert len(planner.plan().reserved) == 1
    assert planner.plan().reserved == []
    assert [batch.request_count for batch in lab.batches()] == [1]


def test_batches_that_failed_together_are_one_failed_try(lab: "Lab") -> None:
    lab.palettes(4)
    lab.want()
    planner = _limited(lab, batch_requests=1)
    planner.plan()

    (block,) = _fail(lab, planner, UnavailableError("openai", "503")).blocked.values()

    assert not block.is_futile
    assert block.until is not None
    assert (block.until - lab.clock()).total_seconds() <= lab.policy.retry_s


def test_a_stopped_batch_holds_its_own_model_only(lab: "Lab", planner: Planner) -> None:
    lab.palettes(2)
    lab.want("openai", "groq", runs=2)
    planner.plan()
    openai = next(batch for batch in lab.batches() if batch.provider == "openai")
    lab.services.update(openai.id, state="stopped", error="gone")
    _answer(lab, next(batch for batch in lab.batches() if batch.provider == "groq"))

    plan = planner.plan()

    assert [lab.services.batch(new).run_number for new in plan.reserved] == [2]
    assert plan.blocked["openai", openai.model].reason == "a batch stopped (gone)"
