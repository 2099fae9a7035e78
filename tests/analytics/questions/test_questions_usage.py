from collections import defaultdict
from itertools import combinations

import pytest

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.usage import PARTS, ModelPrices, Part, errors, usage
from grabient_ops.analytics.warehouse import Warehouse
from grabient_ops.tagging.usage import Usage

PRICES = (
    ModelPrices("openai", "gpt-4o-mini", 1.0, 0.5, 4.0, 0.5, 0.25, 2.0),
    ModelPrices("openai", "gpt-4o-mini-2026", 2.0, 1.0, 8.0, 1.0, 0.5, 4.0),
    ModelPrices("google", "gemini", 3.0, 3.0, 9.0, 1.5, 1.5, 4.5),
    ModelPrices("google", "gemini-2026", None, None, None, None, None, None),
    ModelPrices("groq", "claude", 100.0, 100.0, 100.0, 100.0, 100.0, 100.0),
)  # fmt: skip


def _price(answer: Answer) -> ModelPrices | None:
    known = {(price.provider, price.model): price for price in PRICES}
    asked = known.get((answer.provider, answer.model))
    price = known.get((answer.provider, answer.model_returned or ""), asked)
    return price if price and price.input is not None else None


def _cost(answer: Answer, *usd_per_million: float | None) -> float:
    fresh = answer.input_tokens - answer.cached_tokens
    tokens = (fresh, answer.cached_tokens, answer.output_tokens)
    return sum(n * (usd or 0) / 1e6 for n, usd in zip(tokens, usd_per_million, strict=True))


@pytest.mark.parametrize("by", [parts for size in range(5) for parts in combinations(PARTS, size)])
def test_usage_of_every_combination_of_parts_is_the_sum_by_hand(
    warehouse: Warehouse, answers: list[Answer], by: tuple[Part, ...]
) -> None:
    groups: dict[tuple[object, ...], list[Answer]] = defaultdict(list)
    for answer in answers:
        key = tuple(getattr(answer, part) if part in by else None for part in PARTS)
        groups[key].append(answer)

    found = usage(warehouse, PRICES, by=by)

    assert {row[:4] for row in found} == {*groups}
    for row in found:
        own = groups[row[:4]]
        priced = [(answer, price) for answer in own if (price := _price(answer))]
        assert row.requests == len(own)
        assert row.answered == sum(answer.error_class is None for answer in own)
        tokens = Usage()
        for a in own:
            tokens += Usage(a.input_tokens, a.output_tokens, a.cached_tokens, a.reasoning_tokens)
        assert Usage(*row[6:10]) == tokens
        assert row.unpriced == len(own) - len(priced)
        if not priced:
            assert (row.cost_usd, row.standard_usd, row.saved_usd) == (None, None, None)
            continue
        cost = sum(_cost(a, *p[5:8]) for a, p in priced)
        standard = sum(_cost(a, *p[2:5]) for a, p in priced)
        assert row.cost_usd == pytest.approx(cost)
        assert row.standard_usd == pytest.approx(standard)
        assert row.saved_usd == pytest.approx(standard - cost)


def test_usage_of_some_answers_is_a_part_of_all(warehouse: Warehouse) -> None:
    parts = [usage(warehouse, PRICES, Selection(runs=[run]), by=[])[0] for run in (1, 2, 3)]

    (whole,) = usage(warehouse, PRICES, by=[])

    assert sum(part.requests for part in parts) == whole.requests
    assert sum(part.cost_usd or 0 for part in parts) == pytest.approx(whole.cost_usd)


def test_errors_are_counted_by_model_and_class(warehouse: Warehouse, answers: list[Answer]) -> None:
    found = errors(warehouse)

    assert {row.error_class for row in found} == {"truncated", "unparsable"}
    for row in found:
        own = [a for a in answers if (a.provider, a.model) == (row.provider, row.model)]
        failed = sum(answer.error_class == row.error_class for answer in own)
        assert row[3:] == (failed, len(own), failed / len(own))
    assert sum(row.failed for row in found) == sum(a.error_class is not None for a in answers)
