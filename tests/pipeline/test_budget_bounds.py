"""The most that a request may cost, and what it is expected to cost."""

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.pipeline.bounds import (
    TAGGING_MESSAGE_BYTES,
    bound_of_batch,
    most_input_tokens,
    request_bound,
)
from grabient_ops.pipeline.estimate import estimate_runs
from grabient_ops.providers.catalog import Catalog, Model, Prices
from grabient_ops.tagging.message import user_messages

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

TODAY = date(2026, 11, 24)
CHEAP = Prices(2, 1, 8, 1, 0.5, 4, TODAY)
DEAR = replace(CHEAP, batch_output=40)


def _catalog(model: Model, retires_on: date | None = None) -> Catalog:
    """Two models, one the neighbour of the other, which is five times dearer."""
    asked = replace(
        model, prices=CHEAP, neighbour="next", max_output_tokens=100, retires_on=retires_on
    )
    return Catalog([asked, replace(model, id="next", prices=DEAR, neighbour=None)])


def _bound(catalog: Catalog, input_tokens: int = 10) -> int | None:
    return request_bound(catalog, catalog.models[0], input_tokens, TODAY)


def test_no_tagging_message_is_longer_than_the_bound_says() -> None:
    messages = user_messages(invented_seeds(3000))

    assert max(len(message.encode()) for message in messages) <= TAGGING_MESSAGE_BYTES


def test_a_request_may_fill_its_answer_and_find_nothing_in_a_cache(lab: "Lab") -> None:
    catalog = _catalog(lab.model())

    assert _bound(catalog) == 10 * 1_000_000 + 100 * 4_000_000


def test_a_cache_that_costs_more_than_reading_afresh_counts(lab: "Lab") -> None:
    prices = replace(CHEAP, batch_cached_input=3)
    catalog = Catalog([replace(lab.model(), prices=prices, max_output_tokens=100)])

    assert _bound(catalog) == 10 * 3_000_000 + 100 * 4_000_000


@pytest.mark.parametrize(("days", "output_price"), [(0, 40), (6, 40), (7, 4), (None, 4)])
def test_a_model_that_retires_in_flight_may_be_billed_as_its_neighbour(
    lab: "Lab", days: int | None, output_price: int
) -> None:
    retires_on = None if days is None else TODAY + timedelta(days=days)
    catalog = _catalog(lab.model(), retires_on)

    assert _bound(catalog) == 10 * 1_000_000 + 100 * output_price * 1_000_000


def test_without_a_price_there_is_no_bound(lab: "Lab") -> None:
    assert _bound(Catalog([replace(lab.model(), prices=None)])) is None


def test_every_byte_beyond_ascii_may_be_a_token() -> None:
    plain = most_input_tokens("tagging", "a" * 60, 100)

    assert most_input_tokens("tagging", "a" * 60 + "調", 100) == plain + 3
    assert most_input_tokens("tagging", "a" * 160, 100) == plain + 50
    assert most_input_tokens("tagging", "a" * 60, 300) == plain + 200


def test_a_batch_is_bounded_with_the_parameters_that_it_was_reserved_with(lab: "Lab") -> None:
    batch = lab.reserve(1)
    more = {**batch.parameters, "max_output_tokens": batch.parameters["max_output_tokens"] + 100}

    assert lab.bound(batch._replace(parameters=more)) - lab.bound(batch) == 100 * 300_000


def test_a_model_that_left_the_catalog_has_no_bound(lab: "Lab") -> None:
    batch = lab.reserve(1)
    lab.services = replace(lab.services, catalog=Catalog([]))
    with lab.store.read() as connection:
        assert bound_of_batch(lab.services, connection, batch) is None


def test_a_refinement_is_bounded_by_its_longest_text_and_its_picture(lab: "Lab") -> None:
    batch = lab.reserve(2)._replace(kind="refinement")
    with lab.store.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET input = '조화' || position")
    text = lab.bound(batch)
    with lab.store.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET input = input || '조' WHERE position = 1")
    assert lab.bound(batch) - text == 3 * 75_000

    seen = lab.bound(batch._replace(options={"pictures": "inline"}))
    picture = lab.model().image_tokens
    assert picture is not None
    assert seen - text == (3 + picture) * 75_000


def test_an_estimate_is_what_the_tokens_cost(lab: "Lab") -> None:
    lab.palettes(3)
    estimate = estimate_runs(lab.services, [lab.model()], 2, None)

    tokens = estimate.input_tokens * 0.075 + estimate.output_tokens * 0.3
    assert estimate.requests == 6
    assert estimate.batch_usd == pytest.approx(tokens / 1e6)
    assert estimate.standard_usd == pytest.approx(2 * tokens / 1e6)
    assert estimate.to_json()["saved_usd"] == pytest.approx(tokens / 1e6)


def test_the_most_that_an_estimate_names_is_what_the_gate_would_hold_back(lab: "Lab") -> None:
    batch = lab.reserve(3)
    estimate = estimate_runs(lab.services, [lab.model()], 1, None)

    assert estimate.most_usd == pytest.approx(3 * lab.bound(batch) / 10**12)


def test_an_estimate_learns_from_answers(lab: "Lab") -> None:
    batch = lab.submitted(3)
    lab.respond(batch)
    lab.palettes(2, first=3)
    estimate = estimate_runs(lab.services, [lab.model()], 1, None)

    assert (estimate.requests, estimate.input_tokens, estimate.output_tokens) == (2, 2, 2)


def test_an_estimate_with_an_unknown_price_names_no_amount(lab: "Lab") -> None:
    lab.palettes(1)
    models = [lab.model("groq"), replace(lab.model(), prices=None)]
    estimate = estimate_runs(lab.services, models, 1, None)

    assert estimate.requests == 2
    assert (estimate.batch_usd, estimate.standard_usd, estimate.most_usd) == (None, None, None)
    assert estimate.to_json()["saved_usd"] is None
