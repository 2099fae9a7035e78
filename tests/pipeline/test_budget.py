"""The gate: what might cross a limit is not sent."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grabient_ops.pipeline.budget import Room, admit, explain_standstill, measure_room
from grabient_ops.pipeline.limits import Limit, dollars
from grabient_ops.pipeline.passes import Wish, open_pass
from grabient_ops.providers.catalog import Catalog
from grabient_ops.store.batches import Batch, request_cancel
from grabient_ops.store.requests import count_requests
from grabient_ops.store.spending import Spending, measure_spending

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab


def _give(lab: "Lab", batch: Batch, pico: int) -> None:
    """Set the budget of the pass that the batch belongs to."""
    wish = Wish("tagging", batch.prompt_version, [lab.model()], {"runs": 1}, pico)
    open_pass(lab.services, wish, {})


def _limit(left: int, *, in_flight: bool = False) -> Limit:
    return Limit("the budget", left + 10, Spending(7, 3, in_flight), "raise it")


def _spending(lab: "Lab") -> Spending:
    with lab.store.read() as connection:
        return measure_spending(connection)


def _standstill(lab: "Lab") -> str | None:
    with lab.store.read() as connection:
        return explain_standstill(connection)


@pytest.mark.parametrize(
    ("limits", "bound", "fitting"),
    [
        ([], 5, 4),
        ([], None, 4),
        ([_limit(20)], 5, 4),
        ([_limit(19)], 5, 3),
        ([_limit(4)], 5, 0),
        ([_limit(0)], 5, 0),
        ([_limit(-100)], 5, 0),
        ([_limit(0)], 0, 4),
        ([_limit(-100)], 0, 4),
        ([_limit(1000)], None, 0),
        ([_limit(1000), _limit(11)], 5, 2),
        ([_limit(11), _limit(1000)], 5, 2),
        ([_limit(19, in_flight=True)], 5, 0),
        ([_limit(20, in_flight=True)], 5, 4),
        ([_limit(1000, in_flight=True), _limit(11)], 5, 2),
        ([_limit(19, in_flight=True), _limit(11)], 5, 0),
    ],
)
def test_as_many_go_as_fit_but_less_than_all_only_when_nothing_can_make_room(
    limits: list[Limit], bound: int | None, fitting: int
) -> None:
    room = measure_room(limits, bound, 4)

    assert room.requests == fitting
    assert bool(room.reason) is (fitting == 0)


def test_the_refusal_names_spent_reserved_budget_and_the_way_out() -> None:
    limit = Limit(
        "the budget",
        2_500_000_000_000,
        Spending(2_400_000_000_000, 5_000_000_000, True),
        "raise it",
    )

    assert measure_room([limit], 100_000_000_000, 3) == Room(
        0,
        "$2.4000 spent and $0.005000 reserved of the budget of $2.5000, and one more request may "
        "cost $0.1000; raise it",
    )


@pytest.mark.parametrize(
    ("pico", "shown"),
    [(0, "$0.0000"), (1, "$0.000000"), (9_999_000_000, "$0.009999"), (10**16, "$10,000.0000")],
)
def test_amounts_are_legible_from_millionths_on(pico: int, shown: str) -> None:
    assert dollars(pico) == shown


def test_without_a_limit_the_most_it_may_cost_is_still_written_down(lab: "Lab") -> None:
    batch = lab.reserve(3)
    bound = lab.bound(batch)
    assert admit(lab.services, batch.id)

    stored = lab.services.batch(batch.id)
    assert (stored.state, stored.request_bound, stored.reserved_cost) == (
        "submitting", bound, 3 * bound
    )  # fmt: skip
    assert _spending(lab) == Spending(0, 3 * bound, in_flight=True)


def test_asking_again_reserves_nothing_more(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _give(lab, batch, 3 * lab.bound(batch))

    assert [admit(lab.services, batch.id) for _ in range(3)] == [True] * 3
    assert _spending(lab).reserved == 3 * lab.bound(batch)


def test_a_reservation_outlives_a_budget_that_was_cut(lab: "Lab") -> None:
    batch = lab.reserve(3)
    admit(lab.services, batch.id)
    before = lab.services.batch(batch.id)
    _give(lab, batch, 0)

    assert admit(lab.services, batch.id)
    assert lab.services.batch(batch.id) == before


def test_what_does_not_fit_at_all_waits_and_says_so(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _give(lab, batch, lab.bound(batch) - 1)

    assert not admit(lab.services, batch.id)
    stored = lab.services.batch(batch.id)
    assert (stored.state, stored.reserved_cost, stored.request_count) == ("over_budget", 0, 3)
    assert str(stored.error).startswith("$0.0000 spent of the budget of $0.")
    assert str(_standstill(lab)).startswith("over budget, 3 requests wait: $0.0000 spent of")
    assert lab.openai.calls == []


def test_looking_in_vain_again_is_no_news(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _give(lab, batch, 0)
    admit(lab.services, batch.id)
    before = lab.announced("batches")
    admit(lab.services, batch.id)

    assert lab.announced("batches") == before


def test_the_part_that_fits_goes_and_the_rest_is_free_to_be_planned_again(lab: "Lab") -> None:
    batch = lab.reserve(5)
    _give(lab, batch, 2 * lab.bound(batch) + 1)

    assert admit(lab.services, batch.id)
    stored = lab.services.batch(batch.id)
    assert (stored.request_count, stored.reserved_cost) == (2, 2 * lab.bound(batch))
    with lab.store.read() as connection:
        assert count_requests(connection, batch.id) == {"open": 2, "released": 3}
    (rest,) = lab.plan().reserved
    assert lab.services.batch(rest).request_count == 3
    assert not admit(lab.services, rest)


def test_only_the_requests_that_fit_are_in_the_payload(lab: "Lab") -> None:
    from grabient_ops.pipeline.payload import write_payload

    batch = lab.reserve(5)
    _give(lab, batch, 2 * lab.bound(batch))
    admit(lab.services, batch.id)
    submission, _ = write_payload(lab.services, lab.services.batch(batch.id))

    assert submission.request_count == 2
    assert submission.payload.read_bytes().count(b"\n") == 2


def test_raising_the_budget_lets_the_batch_go(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _give(lab, batch, 0)
    assert not admit(lab.services, batch.id)
    _give(lab, batch, 3 * lab.bound(batch))

    assert admit(lab.services, batch.id)
    assert lab.services.batch(batch.id).error is None


def test_the_home_has_a_limit_over_all_prompts_and_passes(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _give(lab, batch, 10**15)
    frugal = replace(lab.services, standing_budget=lab.bound(batch) - 1)

    assert not admit(frugal, batch.id)
    assert "GRABIENT_OPS_BUDGET_USD" in str(lab.services.batch(batch.id).error)
    assert admit(lab.services, batch.id)


def _without_prices(lab: "Lab") -> None:
    models = [replace(model, prices=None) for model in lab.services.catalog.models]
    lab.services = replace(lab.services, catalog=Catalog(models))


def test_a_batch_without_a_known_price_waits_under_a_budget(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _give(lab, batch, 10**15)
    _without_prices(lab)

    assert not admit(lab.services, batch.id)
    assert "no price is known" in str(lab.services.batch(batch.id).error)


def test_a_batch_without_a_known_price_goes_without_a_budget(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _without_prices(lab)

    assert admit(lab.services, batch.id)
    stored = lab.services.batch(batch.id)
    assert (stored.request_bound, stored.reserved_cost) == (None, 0)


def test_a_waiting_batch_that_is_cancelled_is_let_through_and_reserves_nothing(lab: "Lab") -> None:
    batch = lab.reserve(3)
    _give(lab, batch, 0)
    admit(lab.services, batch.id)
    with lab.store.write() as connection:
        request_cancel(connection, batch.id, lab.clock())

    assert admit(lab.services, batch.id)
    assert _spending(lab).committed == 0


def test_something_in_flight_is_no_standstill(lab: "Lab") -> None:
    batch = lab.reserve(3, "openai", "groq")
    other = next(item for item in lab.batches() if item.id != batch.id)
    _give(lab, batch, 0)
    admit(lab.services, batch.id)

    assert _standstill(lab) is None
    admit(lab.services, other.id)
    assert str(_standstill(lab)).startswith("over budget, 6 requests wait")
