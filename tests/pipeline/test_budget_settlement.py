"""What a batch has cost takes the place of what was reserved for it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grabient_ops.errors import AuthenticationError
from grabient_ops.pipeline.batches import NEVER_SENT
from grabient_ops.pipeline.budget import admit
from grabient_ops.pipeline.completion import complete
from grabient_ops.pipeline.costs import report_costs
from grabient_ops.pipeline.ingest import Ingest
from grabient_ops.pipeline.recovery import reopen
from grabient_ops.pipeline.waiting import End
from grabient_ops.store.batches import Batch
from grabient_ops.store.completions import rearm
from grabient_ops.tagging.usage import Usage

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

ENDED: End = {"how": "completed", "files": [], "message": None, "queue_full": False}
WRONG_KEY = AuthenticationError("openai", "wrong key")


def _sent(lab: "Lab", count: int = 3) -> Batch:
    """A batch that has passed the gate and was accepted."""
    lab.palettes(count)
    lab.want()
    batch = lab.services.batch(lab.plan().reserved[0])
    admit(lab.services, batch.id)
    now = lab.clock()
    lab.services.update(
        batch.id, provider_batch_id="b1", submit_started_at=now, submitted_at=now,
        is_proven=True, state="waiting",
    )  # fmt: skip
    return lab.services.batch(batch.id)


def _collect(lab: "Lab", batch: Batch, *lines: bytes) -> None:
    path: Path = lab.folder / "output.jsonl"
    path.write_bytes(b"".join(lines))
    Ingest(lab.services, batch.id).run([path])


def _close(lab: "Lab", batch: Batch, outcome: End | Exception = ENDED) -> Batch:
    assert complete(lab.services, batch.workflow_id, batch.id, outcome)
    return lab.services.batch(batch.id)


def _price(lab: "Lab", input_tokens: int = 100, output_tokens: int = 20) -> int:
    prices = lab.model().prices
    assert prices is not None
    return prices.batch_cost(Usage(input_tokens, output_tokens))


def _end(how: str, *, queue_full: bool = False) -> End:
    return {**ENDED, "how": how, "queue_full": queue_full}


def _bound(batch: Batch) -> int:
    assert batch.request_bound
    return batch.request_bound


def test_the_answers_cost_takes_the_place_of_the_reservation(lab: "Lab") -> None:
    batch = _sent(lab)
    _collect(lab, batch, *(lab.answer(f"{batch.id}-{n}") for n in range(3)))
    assert lab.services.batch(batch.id).reserved_cost == 3 * _bound(batch)

    ended = _close(lab, batch)
    assert (ended.settled_cost, ended.reserved_cost) == (3 * _price(lab), 0)
    assert lab.announced("budgets") == [batch.prompt_version]


def test_an_answer_that_cannot_be_used_has_cost_as_much(lab: "Lab") -> None:
    batch = _sent(lab, 1)
    _collect(lab, batch, lab.answer(f"{batch.id}-0", "I cannot see it."))

    ended = _close(lab, batch)
    assert lab.rows()[0]["error_class"] == "unparsable"
    assert (ended.settled_cost, ended.reserved_cost) == (_price(lab), 0)


def test_what_no_line_says_anything_of_may_have_been_billed(lab: "Lab") -> None:
    batch = _sent(lab)
    _collect(lab, batch, lab.answer(f"{batch.id}-1"))

    ended = _close(lab, batch)
    assert (ended.settled_cost, ended.reserved_cost) == (_price(lab), 2 * _bound(batch))


@pytest.mark.parametrize("how", ["expired", "canceled", "rejected"])
def test_what_the_provider_did_not_get_to_is_not_billed(lab: "Lab", how: str) -> None:
    batch = _sent(lab)
    _collect(lab, batch, lab.answer(f"{batch.id}-1"))

    ended = _close(lab, batch, _end(how))
    assert (ended.settled_cost, ended.reserved_cost) == (_price(lab), 0)


@pytest.mark.parametrize("asked_for", [True, False], ids=["by an operator", "because stuck"])
def test_a_batch_that_could_not_be_cancelled_keeps_its_reservation(
    lab: "Lab", *, asked_for: bool
) -> None:
    batch = _sent(lab)
    if asked_for:
        lab.services.update(batch.id, cancel_requested_at=lab.clock())

    ended = _close(lab, batch, _end("failed"))
    assert (ended.settled_cost, ended.reserved_cost) == (0, 3 * _bound(batch))


def test_a_torn_line_of_an_expired_batch_may_have_been_an_answer(lab: "Lab") -> None:
    batch = _sent(lab)
    _collect(lab, batch, lab.answer(f"{batch.id}-1"), b'{"custom_id": "\n')

    ended = _close(lab, batch, _end("expired"))
    assert (ended.settled_cost, ended.reserved_cost) == (_price(lab), _bound(batch))


def test_an_answer_without_usage_keeps_its_reservation(lab: "Lab") -> None:
    batch = _sent(lab, 1)
    body = {"choices": [{"message": {"content": "hm"}, "finish_reason": "stop"}]}
    line = lab.answer(f"{batch.id}-0", response={"status_code": 200, "body": body})
    _collect(lab, batch, line)

    ended = _close(lab, batch)
    assert (ended.settled_cost, ended.reserved_cost) == (0, _bound(batch))


def test_an_answer_that_was_set_aside_keeps_its_reservation(lab: "Lab") -> None:
    batch = _sent(lab, 1)
    with lab.store.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET attempt = 2")
    row: dict[str, Any] = {**batch.same(), "seed": lab.query("SELECT seed FROM requests")[0][0]}
    _answer_elsewhere(lab, row)
    _collect(lab, batch, lab.answer(f"{batch.id}-0"))

    ended = _close(lab, batch)
    assert lab.query("SELECT kind FROM stray_results") == [("duplicate",)]
    assert (ended.settled_cost, ended.reserved_cost) == (0, _bound(batch))


def _answer_elsewhere(lab: "Lab", row: dict[str, Any]) -> None:
    """Store a success of another batch for the same request."""
    from grabient_ops.pipeline.stages import STAGES, billed
    from grabient_ops.store.responses import store_responses
    from grabient_ops.store.tables import palette_tags

    stage = STAGES["tagging"]
    whole = {
        **stage.failure("", None), "error_class": None, **billed(Usage(1, 1), 1), **row,
        "attempt": 1, "batch_id": "another", "excused": False, "created_at": lab.clock(),
    }  # fmt: skip
    with lab.store.write() as connection:
        store_responses(connection, palette_tags, row, [whole])


@pytest.mark.parametrize("outcome", [NEVER_SENT, WRONG_KEY])
def test_what_was_never_sent_is_released_wholly(lab: "Lab", outcome: End | Exception) -> None:
    batch = lab.reserve(3)
    admit(lab.services, batch.id)

    ended = _close(lab, batch, outcome)
    assert (ended.settled_cost, ended.reserved_cost) == (0, 0)


def test_a_full_queue_releases_wholly(lab: "Lab") -> None:
    ended = _close(lab, _sent(lab), _end("rejected", queue_full=True))

    assert (ended.settled_cost, ended.reserved_cost) == (0, 0)


def test_a_stopped_batch_keeps_its_reservation(lab: "Lab") -> None:
    batch = _sent(lab)
    stopped = _close(lab, batch, WRONG_KEY)

    assert (stopped.state, stopped.settled_cost) == ("stopped", None)
    assert stopped.reserved_cost == 3 * _bound(batch)


def test_late_results_of_a_reopened_batch_are_settled_anew(lab: "Lab") -> None:
    batch = _sent(lab)
    _collect(lab, batch, lab.answer(f"{batch.id}-0"))
    _close(lab, batch)
    reopen(lab.services, batch.id)
    with lab.store.write() as connection:
        rearm(connection, [batch.id])
    again = lab.services.batch(batch.id)
    assert (again.settled_cost, again.reserved_cost) == (_price(lab), 2 * _bound(batch))

    _collect(lab, again, *(lab.answer(f"{batch.id}-{n}") for n in (0, 2)))
    ended = _close(lab, batch)
    assert (ended.settled_cost, ended.reserved_cost) == (2 * _price(lab), _bound(batch))


def test_without_a_price_nothing_is_settled_and_the_report_says_unknown(lab: "Lab") -> None:
    models = [replace(model, prices=None) for model in lab.services.catalog.models]
    lab.services = replace(lab.services, catalog=type(lab.services.catalog)(models))
    batch = _sent(lab)
    _collect(lab, batch, *(lab.answer(f"{batch.id}-{n}") for n in range(3)))

    ended = _close(lab, batch)
    assert (ended.settled_cost, ended.reserved_cost) == (0, 0)
    total = report_costs(lab.services, "model", None)["total"]
    assert (total["cost_usd"], total["unpriced_answers"]) == (None, 3)
