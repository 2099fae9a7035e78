"""The cost report: what was paid, what it would have been, and how good the estimates were."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy.engine import Connection

from grabient_ops.pipeline.limits import PICO
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Catalog, Prices
from grabient_ops.store.costs import (
    Answerer,
    Sum,
    Tariff,
    Tariffs,
    cost_of_pass,
    list_answerers,
    sum_costs,
)
from grabient_ops.store.passes import Pass, list_passes
from grabient_ops.store.spending import measure_spending
from grabient_ops.tagging.kinds import KINDS
from grabient_ops.tagging.usage import Usage

Dimension = Literal["provider", "model", "run", "prompt-version", "palette"]
COLUMNS: Mapping[Dimension, tuple[str, ...]] = {
    "provider": ("provider",),
    "model": ("provider", "model"),
    "run": ("run_number",),
    "prompt-version": ("prompt_version",),
    "palette": ("seed",),
}


def report_costs(services: Services, by: Dimension, limit: int | None) -> dict[str, Any]:
    """Return the document of `cost report`; the shape is a contract (docs/money.md).

    Args:
        services: the parts.
        by: what the rows stand for.
        limit: only so many rows of each kind, the dearest; None for all.
    """
    with services.store.read() as connection:
        priced = _priced(services.catalog, list_answerers(connection))
        tariffs = [_tariffs(answerer, prices) for answerer, prices in priced.items()]
        rows = list(sum_costs(connection, COLUMNS[by], tariffs, limit))
        totals = list(sum_costs(connection, (), tariffs, None))
        spending = measure_spending(connection)
        passes = [_pass(connection, item) for item in list_passes(connection) if item.estimate]
    return {
        "by": by,
        "rows": [{"kind": row.kind, **_group(by, row), **_amounts([row])} for row in rows],
        "kinds": {kind: _amounts([t for t in totals if t.kind == kind]) for kind in KINDS},
        "total": _amounts(totals),
        "settled_usd": spending.settled / PICO,
        "settled_pico": spending.settled,
        "reserved_usd": spending.reserved / PICO,
        "reserved_pico": spending.reserved,
        "passes": passes,
        "prices": [
            {"provider": a.provider, "model": a.model, "answered_by": a.model_returned,
             "as_of": prices.as_of.isoformat()}
            for a, prices in priced.items()
        ],
    }  # fmt: skip


def _priced(catalog: Catalog, answerers: Sequence[Answerer]) -> dict[Answerer, Prices]:
    found = {answerer: catalog.prices(*answerer) for answerer in answerers}
    return {answerer: prices for answerer, prices in found.items() if prices is not None}


def _tariffs(answerer: Answerer, prices: Prices) -> Tariffs:
    fresh, cached, written = Usage(1), Usage(1, cached_tokens=1), Usage(0, 1)
    tokens = (fresh, cached, written)
    return Tariffs(
        answerer,
        batch=Tariff(*map(prices.batch_cost, tokens)),
        standard=Tariff(*map(prices.standard_cost, tokens)),
    )


def _group(by: Dimension, row: Sum) -> dict[str, Any]:
    return dict(zip(COLUMNS[by], row.group, strict=True))


def _amounts(sums: Sequence[Sum]) -> dict[str, Any]:
    """Add sums up; an amount is None where nothing of it is known."""
    answers, unpriced = sum(s.answers for s in sums), sum(s.unpriced for s in sums)
    cost, standard = sum(s.cost for s in sums), sum(s.standard_cost for s in sums)
    is_unknown = unpriced > 0 and unpriced == answers
    return {
        "answers": answers,
        "input_tokens": sum(s.input_tokens for s in sums),
        "output_tokens": sum(s.output_tokens for s in sums),
        "cached_tokens": sum(s.cached_tokens for s in sums),
        "cost_usd": None if is_unknown else cost / PICO,
        "cost_pico": cost,
        "standard_usd": None if is_unknown else standard / PICO,
        "saved_usd": None if is_unknown else (standard - cost) / PICO,
        "unpriced_answers": unpriced,
    }


def _pass(connection: Connection, item: Pass) -> dict[str, Any]:
    """Hold an estimate against what it became; the error is known when everything was asked."""
    asked, estimate = item.asked, item.estimate
    actual = cost_of_pass(
        connection, item.prompt_version, asked["models"], asked["runs"], item.created_at
    )
    is_complete = actual.requests >= estimate["requests"]
    estimated = estimate["batch_usd"]
    error = None
    if is_complete and estimated and actual.cost:
        error = 100 * (estimated * PICO - actual.cost) / actual.cost
    return {
        "pass": item.id,
        "kind": item.kind,
        "prompt_version": item.prompt_version,
        "asked": asked,
        "asked_at": item.created_at.isoformat(),
        "estimated_requests": estimate["requests"],
        "requests": actual.requests,
        "estimated_usd": estimated,
        "actual_usd": actual.cost / PICO,
        "error_percent": error,
        "budget_usd": None if item.budget is None else item.budget / PICO,
    }
