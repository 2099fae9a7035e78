"""The cost report: exact sums, by whatever is asked for."""

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import pytest

from grabient_ops.pipeline.budget import admit
from grabient_ops.pipeline.completion import complete
from grabient_ops.pipeline.costs import Dimension, report_costs
from grabient_ops.pipeline.ingest import Ingest
from grabient_ops.pipeline.passes import Wish, open_pass
from grabient_ops.pipeline.waiting import End
from grabient_ops.providers.catalog import Catalog
from grabient_ops.tagging.usage import Usage

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

ENDED: End = {"how": "completed", "files": [], "message": None, "queue_full": False}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 333,
         "prompt_tokens_details": {"cached_tokens": 250}}  # fmt: skip


def _answer_all(lab: "Lab") -> None:
    """Have every open request answered: cached input, awkward numbers, one useless answer each."""
    for batch in lab.batches():
        if batch.ended_at:
            continue
        admit(lab.services, batch.id)
        lab.services.update(
            batch.id, provider_batch_id=batch.id, submit_started_at=lab.clock(), is_proven=True
        )
        lines = []
        for n in range(batch.request_count):
            text = "no" if n == 0 else json.dumps(lab.tags)
            message = {"message": {"content": text}, "finish_reason": "stop"}
            usage = {**USAGE, "completion_tokens": 333 + n}
            body = {"model": batch.model, "choices": [message], "usage": usage}
            custom_id = f"{batch.id}-{n}"
            lines.append(lab.answer(custom_id, response={"status_code": 200, "body": body}))
        path = lab.folder / "output.jsonl"
        path.write_bytes(b"".join(lines))
        Ingest(lab.services, batch.id).run([path])
        complete(lab.services, batch.workflow_id, batch.id, ENDED)


def _tagged(lab: "Lab", palettes: int = 3) -> None:
    """A pass of two models with its retries of the first round."""
    lab.palettes(palettes)
    lab.want("openai", "groq")
    lab.plan()
    _answer_all(lab)
    lab.plan()
    _answer_all(lab)


def _expected(lab: "Lab") -> int:
    """Usage times price, row by row."""
    total = 0
    for row in lab.rows():
        prices = lab.services.catalog.get(row["provider"], row["model"]).prices
        assert prices is not None
        tokens = (row[name] for name in ("input_tokens", "output_tokens", "cached_tokens"))
        total += prices.batch_cost(Usage(*tokens))
    return total


def _report(lab: "Lab", by: Dimension = "model", limit: int | None = None) -> dict[str, Any]:
    return report_costs(lab.services, by, limit)


@pytest.mark.parametrize("by", get_args(Dimension))
def test_settled_costs_are_usage_times_price_to_the_last_pico_dollar(
    lab: "Lab", by: Dimension
) -> None:
    _tagged(lab)
    report = _report(lab, by)

    assert len(lab.rows()) == 8
    assert report["total"]["cost_pico"] == _expected(lab) > 0
    assert sum(row["cost_pico"] for row in report["rows"]) == report["total"]["cost_pico"]
    assert report["settled_pico"] == report["total"]["cost_pico"]
    assert lab.query("SELECT sum(settled_cost) FROM batches") == [(_expected(lab),)]
    assert lab.query("SELECT sum(cost) FROM palette_tags") == [(_expected(lab),)]


def test_a_row_says_who_how_many_tokens_and_what_was_saved(lab: "Lab") -> None:
    _tagged(lab)
    row = next(r for r in _report(lab)["rows"] if r["provider"] == "openai")

    tokens = Counter({"input_tokens": 0})
    for stored in (r for r in lab.rows() if r["provider"] == "openai"):
        tokens.update({k: stored[k] for k in ("input_tokens", "output_tokens", "cached_tokens")})
    prices = lab.model().prices
    assert prices is not None
    usage = Usage(**tokens)
    assert (row["kind"], row["model"], row["answers"]) == ("tagging", "gpt-4o-mini", 4)
    assert row["cost_pico"] == prices.batch_cost(usage)
    assert row["cost_usd"] == row["cost_pico"] / 10**12
    assert row["standard_usd"] == prices.standard_cost(usage) / 10**12
    assert row["saved_usd"] == pytest.approx(row["standard_usd"] - row["cost_usd"])


def test_a_limit_keeps_the_dearest_rows_and_the_whole_sum(lab: "Lab") -> None:
    _tagged(lab)
    whole, one = _report(lab), _report(lab, limit=1)

    assert one["rows"] == whole["rows"][:1]
    assert whole["rows"][0]["cost_pico"] > whole["rows"][1]["cost_pico"]
    assert one["total"] == whole["total"]


def test_an_empty_home_has_cost_nothing(lab: "Lab") -> None:
    report = _report(lab)

    assert (report["rows"], report["passes"], report["prices"]) == ([], [], [])
    assert (report["total"]["cost_usd"], report["total"]["answers"]) == (0, 0)


def test_answers_of_a_release_that_kept_no_cost_are_priced_as_of_today(lab: "Lab") -> None:
    _tagged(lab)
    with lab.store.write() as connection:
        connection.exec_driver_sql("UPDATE palette_tags SET cost = NULL")

    assert _report(lab)["total"]["cost_pico"] == _expected(lab)


def test_what_has_no_price_is_counted_and_not_summed(lab: "Lab") -> None:
    groq = lab.model("groq")
    lab.services = replace(lab.services, catalog=Catalog([lab.model(), replace(groq, prices=None)]))
    _tagged(lab)
    report = _report(lab)
    known, unknown = sorted(report["rows"], key=lambda row: row["unpriced_answers"])

    assert unknown["cost_usd"] is unknown["standard_usd"] is unknown["saved_usd"] is None
    assert (unknown["provider"], unknown["unpriced_answers"]) == ("groq", 4)
    assert report["total"]["cost_usd"] == known["cost_usd"] > 0
    assert report["total"]["unpriced_answers"] == 4
    assert [price["provider"] for price in report["prices"]] == ["openai"]


def _open(lab: "Lab", batch_usd: float | None, requests: int = 6) -> None:
    lab.palettes(3)
    version = lab.want("openai", "groq")
    models = [lab.model(), lab.model("groq")]
    estimate = {"requests": requests, "batch_usd": batch_usd}
    open_pass(lab.services, Wish("tagging", version, models, {"runs": 1}, "keep"), estimate)


def test_the_error_of_an_estimate_is_told_when_everything_was_asked(lab: "Lab") -> None:
    _open(lab, 0.01)
    (before,) = _report(lab)["passes"]
    assert (before["requests"], before["actual_usd"], before["error_percent"]) == (0, 0, None)

    _tagged(lab)
    (after,) = _report(lab)["passes"]
    actual = _expected(lab) / 10**12
    assert (after["requests"], after["estimated_usd"]) == (6, 0.01)
    assert after["actual_usd"] == actual
    assert after["error_percent"] == pytest.approx(100 * (0.01 - actual) / actual)


def test_an_estimate_without_an_amount_has_no_error(lab: "Lab") -> None:
    _open(lab, None)
    _tagged(lab)

    assert _report(lab)["passes"][0]["error_percent"] is None


def test_what_was_sent_before_a_pass_is_not_part_of_it(lab: "Lab") -> None:
    _tagged(lab)
    lab.clock.forward(1)
    _open(lab, 0.01, requests=0)

    assert _report(lab)["passes"][0]["actual_usd"] == 0
