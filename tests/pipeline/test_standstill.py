"""Who follows a worker sees that nothing goes on any more, when the leader must have seen it."""

from typing import TYPE_CHECKING

import pytest

from grabient_ops.pipeline.budget import admit
from grabient_ops.pipeline.passes import Wish, open_pass
from grabient_ops.pipeline.runs import Block, Planner
from grabient_ops.pipeline.standstill import Onlooker, Standstill
from grabient_ops.store.requests import close_requests, list_requests

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

NO_KEY = Block("GROQ_API_KEY is not set", None, is_futile=True)
LONG_ENOUGH_S = 6.5


@pytest.fixture
def onlooker(lab: "Lab") -> Onlooker:
    return Onlooker(lab.services, Planner(lab.services))


def _last(lab: "Lab", onlooker: Onlooker) -> Standstill | None:
    """What is seen when everything has stayed as it is for long enough."""
    onlooker.look()
    lab.clock.forward(LONG_ENOUGH_S)
    return onlooker.look()


def _fail(lab: "Lab", batch_id: str) -> None:
    """The provider has refused the batch; its requests are free to be asked again."""
    with lab.store.write() as connection:
        positions = [request.position for request in list_requests(connection, batch_id)]
        close_requests(connection, batch_id, positions, "released")
    lab.services.update(
        batch_id, state="failed", error_class="UnavailableError", error="away", ended_at=lab.clock()
    )


def test_models_that_cannot_go_on_are_named_once_the_leader_has_planned(
    lab: "Lab", onlooker: Onlooker
) -> None:
    lab.keys_missing["groq"] = "GROQ_API_KEY"
    batch = lab.reserve(1, "openai", "groq")
    assert _last(lab, onlooker) is None

    lab.respond(batch)
    lab.services.update(batch.id, state="completed")
    assert onlooker.look() is None
    lab.clock.forward(LONG_ENOUGH_S)
    assert onlooker.look() == Standstill({("groq", lab.model("groq").id): NO_KEY})


def test_it_begins_anew_when_something_went_on_in_between(lab: "Lab", onlooker: Onlooker) -> None:
    lab.keys_missing["groq"] = "GROQ_API_KEY"
    lab.palettes(1)
    lab.want("groq")
    assert onlooker.look() is None
    lab.clock.forward(LONG_ENOUGH_S)
    lab.want("openai")
    batch = lab.services.batch(lab.plan().reserved[0])
    assert onlooker.look() is None

    lab.respond(batch)
    lab.services.update(batch.id, state="completed")
    assert onlooker.look() is None


def test_what_the_leader_is_about_to_plan_is_no_standstill(lab: "Lab", onlooker: Onlooker) -> None:
    lab.keys_missing["groq"] = "GROQ_API_KEY"
    lab.palettes(1)
    lab.want("openai", "groq")
    assert _last(lab, onlooker) is None


def test_when_all_is_answered_there_is_no_standstill(lab: "Lab", onlooker: Onlooker) -> None:
    assert _last(lab, onlooker) is None


def test_a_model_that_rests_may_go_on_though_the_key_is_not_ours(
    lab: "Lab", onlooker: Onlooker
) -> None:
    lab.palettes(1)
    lab.want("groq")
    _fail(lab, lab.plan().reserved[0])
    lab.keys_missing["groq"] = "GROQ_API_KEY"
    assert _last(lab, onlooker) is None

    lab.clock.forward(lab.policy.retry_s)
    assert _last(lab, onlooker) == Standstill({("groq", lab.model("groq").id): NO_KEY})


def test_money_and_models_may_be_missing_at_once(lab: "Lab", onlooker: Onlooker) -> None:
    lab.keys_missing["groq"] = "GROQ_API_KEY"
    batch = lab.reserve(1, "openai", "groq")
    open_pass(lab.services, Wish("tagging", batch.prompt_version, [lab.model()], {}, 0), {})
    assert not admit(lab.services, batch.id)
    standstill = _last(lab, onlooker)

    assert standstill is not None
    assert standstill.over_budget is not None
    assert standstill.blocked == {("groq", lab.model("groq").id): NO_KEY}
