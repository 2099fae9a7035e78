"""Which budget holds for what: passes, their words, and refinements that follow by themselves."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grabient_ops.errors import ConfigError, InputError
from grabient_ops.pipeline.budget import admit
from grabient_ops.pipeline.limits import Limit, limits_on
from grabient_ops.pipeline.passes import (
    Budget,
    Wish,
    change_budget,
    follow_on,
    limits_under,
    list_limits,
    open_pass,
)
from grabient_ops.store.passes import list_passes

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

MUCH = 10**15
ESTIMATE = {"requests": 3, "batch_usd": 0.5}


def _wish(lab: "Lab", budget: Budget, version: str, *, runs: int = 1) -> Wish:
    return Wish("tagging", version, [lab.model(), lab.model("groq")], {"runs": runs}, budget)


def _limits(lab: "Lab", version: str) -> list[Limit]:
    with lab.store.read() as connection:
        return limits_on(connection, version, lab.services.standing_budget)


def _caps(lab: "Lab", version: str) -> list[int]:
    return [limit.cap for limit in _limits(lab, version)]


def _committed(lab: "Lab", version: str) -> int:
    (limit,) = _limits(lab, version)
    return limit.spending.committed


def test_the_same_words_are_the_same_pass_in_any_order_of_models(lab: "Lab") -> None:
    wish = _wish(lab, 5, "v")
    open_pass(lab.services, wish, ESTIMATE)
    lab.clock.forward(60)
    open_pass(lab.services, replace(wish, models=wish.models[::-1], budget=6), {"requests": 0})

    with lab.store.read() as connection:
        (stored,) = list_passes(connection)
    assert (stored.estimate, stored.budget) == (ESTIMATE, 6)
    assert stored.created_at < stored.updated_at


@pytest.mark.parametrize("change", ["runs", "models", "version"])
def test_other_words_are_another_pass(lab: "Lab", change: str) -> None:
    wish = _wish(lab, 5, "v")
    others = {
        "runs": replace(wish, words={"runs": 2}),
        "models": replace(wish, models=wish.models[:1]),
        "version": replace(wish, prompt_version="w"),
    }
    assert others[change].pass_id != wish.pass_id


def test_repeating_a_killed_command_gives_no_second_allowance(lab: "Lab") -> None:
    batch = lab.reserve(3)
    wish = _wish(lab, MUCH, batch.prompt_version)
    open_pass(lab.services, wish, ESTIMATE)
    admit(lab.services, batch.id)
    used = _committed(lab, batch.prompt_version)
    open_pass(lab.services, wish, ESTIMATE)

    assert used > 0
    assert _committed(lab, batch.prompt_version) == used


@pytest.mark.parametrize("clock_s", [1, -3600])
def test_another_pass_counts_only_what_is_sent_from_then_on(lab: "Lab", clock_s: float) -> None:
    before = lab.submitted(3)
    version = before.prompt_version
    lab.services.update(before.id, reserved_cost=70)
    lab.clock.set(clock_s)
    wish = _wish(lab, MUCH, version)
    with lab.store.read() as connection:
        (foreseen,) = limits_under(connection, lab.services, wish)
    open_pass(lab.services, wish, ESTIMATE)
    assert foreseen.spending.committed == _committed(lab, version) == 0

    lab.palettes(2, first=3)
    lab.want()
    (batch_id,) = lab.plan().reserved
    admit(lab.services, batch_id)
    assert _committed(lab, version) == lab.services.batch(batch_id).reserved_cost


def test_a_batch_that_had_waited_counts_for_the_pass_that_lets_it_go(lab: "Lab") -> None:
    batch = lab.reserve(3)
    open_pass(lab.services, _wish(lab, 0, batch.prompt_version), ESTIMATE)
    assert not admit(lab.services, batch.id)
    lab.clock.forward(1)
    open_pass(lab.services, _wish(lab, MUCH, batch.prompt_version, runs=2), ESTIMATE)
    admit(lab.services, batch.id)

    assert _committed(lab, batch.prompt_version) == lab.services.batch(batch.id).reserved_cost > 0


def test_the_newest_word_on_a_budget_holds(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, 5, "v"), ESTIMATE)
    open_pass(lab.services, _wish(lab, 7, "v", runs=2), ESTIMATE)
    assert _caps(lab, "v") == [7]

    open_pass(lab.services, _wish(lab, 6, "v"), ESTIMATE)
    assert _caps(lab, "v") == [6]


def test_the_newest_word_on_a_budget_holds_though_its_clock_is_behind(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, 7, "v"), ESTIMATE)
    lab.clock.set(-3600)
    open_pass(lab.services, _wish(lab, 5, "v", runs=2), ESTIMATE)
    assert _caps(lab, "v") == [5]

    lab.clock.set(-3600)
    open_pass(lab.services, _wish(lab, 6, "v"), ESTIMATE)
    assert _caps(lab, "v") == [6]


def test_words_given_at_one_instant_hold_in_their_order(lab: "Lab") -> None:
    instant = lab.clock()
    lab.services = replace(lab.services, now=lambda: instant)
    for budget in (7, 5, 6, 4):
        open_pass(lab.services, _wish(lab, budget, "v", runs=budget), ESTIMATE)
        assert _caps(lab, "v") == [budget]


def test_a_pass_that_says_nothing_lifts_no_budget(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, 5, "v"), ESTIMATE)
    limits = open_pass(lab.services, _wish(lab, "keep", "v", runs=2), ESTIMATE)

    assert [limit.cap for limit in limits] == _caps(lab, "v") == [5]


def test_no_budget_lifts_it(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, 5, "v"), ESTIMATE)
    assert open_pass(lab.services, _wish(lab, "lift", "v"), ESTIMATE) == []
    assert _caps(lab, "v") == []


def test_a_budget_is_of_its_prompt_version_only(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, 5, "v"), ESTIMATE)
    assert _caps(lab, "w") == []


def test_a_dry_run_tells_the_limits_and_writes_nothing(lab: "Lab") -> None:
    lab.services = replace(lab.services, standing_budget=9)
    with lab.store.read() as connection:
        limits = limits_under(connection, lab.services, _wish(lab, 5, "v"))

    assert [limit.cap for limit in limits] == [5, 9]
    with lab.store.read() as connection:
        assert list_passes(connection) == []


@pytest.mark.parametrize("standing", [None, 9])
def test_a_model_without_a_price_is_refused_under_any_limit(
    lab: "Lab", standing: int | None
) -> None:
    lab.services = replace(lab.services, standing_budget=standing)
    wish = _wish(lab, 5 if standing is None else "keep", "v")
    unpriced = replace(wish, models=[replace(lab.model(), prices=None)])

    with pytest.raises(ConfigError, match="the price of openai/gpt-4o-mini is not known"):
        open_pass(lab.services, unpriced, ESTIMATE)
    assert _caps(lab, "v") == ([] if standing is None else [9])


def test_a_model_without_a_price_is_fine_without_a_limit(lab: "Lab") -> None:
    unpriced = replace(_wish(lab, "keep", "v"), models=[replace(lab.model(), prices=None)])
    assert open_pass(lab.services, unpriced, ESTIMATE) == []


def _follow(lab: "Lab", source: str, version: str) -> None:
    with lab.store.write() as connection:
        follow_on(connection, source, version, lab.clock())


def test_a_refinement_that_follows_by_itself_is_paid_from_the_same_budget(lab: "Lab") -> None:
    tagging = lab.reserve(3)
    open_pass(lab.services, _wish(lab, MUCH, tagging.prompt_version), ESTIMATE)
    admit(lab.services, tagging.id)
    _follow(lab, tagging.prompt_version, "refinement-1")
    spent = lab.services.batch(tagging.id).reserved_cost

    assert _caps(lab, "refinement-1") == [MUCH]
    assert _committed(lab, "refinement-1") == _committed(lab, tagging.prompt_version) == spent
    lab.services.update(tagging.id, prompt_version="refinement-1")
    assert _committed(lab, "refinement-1") == _committed(lab, tagging.prompt_version) == spent


def test_raising_the_budget_of_the_tagging_raises_that_of_its_refinement(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, 5, "v"), ESTIMATE)
    _follow(lab, "v", "refinement-1")
    _follow(lab, "v", "refinement-1")
    open_pass(lab.services, _wish(lab, 8, "v"), ESTIMATE)
    assert _caps(lab, "refinement-1") == [8]

    open_pass(lab.services, _wish(lab, "lift", "v"), ESTIMATE)
    assert _caps(lab, "refinement-1") == []


def test_a_refinement_with_a_budget_of_its_own_keeps_to_that(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, 5, "v"), ESTIMATE)
    _follow(lab, "v", "refinement-1")
    lab.clock.forward(1)
    own = Wish("refinement", "refinement-1", [lab.model()], {"runs": 1}, 3)
    open_pass(lab.services, own, ESTIMATE)

    assert _caps(lab, "refinement-1") == [3]


def test_a_refinement_that_follows_is_paid_from_the_tagging_though_its_clock_is_behind(
    lab: "Lab",
) -> None:
    own = Wish("refinement", "refinement-1", [lab.model()], {"runs": 1}, 3)
    open_pass(lab.services, own, ESTIMATE)
    open_pass(lab.services, _wish(lab, 5, "v"), ESTIMATE)
    lab.clock.set(-3600)
    _follow(lab, "v", "refinement-1")

    assert _caps(lab, "refinement-1") == [5]


def test_without_a_budget_nothing_is_handed_on(lab: "Lab") -> None:
    open_pass(lab.services, _wish(lab, "keep", "v"), ESTIMATE)
    _follow(lab, "v", "refinement-1")
    assert _caps(lab, "refinement-1") == []


def test_a_budget_can_be_changed_without_the_words_of_its_pass(lab: "Lab") -> None:
    version = lab.want() if lab.palettes(1) else ""
    open_pass(lab.services, _wish(lab, 5, version), ESTIMATE)
    _follow(lab, version, "refinement-1")

    change_budget(lab.services, None, 8)
    caps = {of: limit.cap for of, limit in list_limits(lab.services)}
    assert caps == {"refinement-1": 8, version: 8}
    change_budget(lab.services, version[:6], "lift")
    assert list_limits(lab.services) == []


@pytest.mark.parametrize(
    ("prompt", "message"), [(None, "nothing was asked for"), ("nonsense", "no prompt version")]
)
def test_changing_the_budget_of_nothing_is_refused(
    lab: "Lab", prompt: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        change_budget(lab.services, prompt, 8)
