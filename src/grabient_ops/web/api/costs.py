"""Money: what the answers have cost, and the budgets that are in force."""

from collections.abc import Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query
from pydantic import BaseModel
from typing_extensions import TypedDict

from grabient_ops.pipeline.costs import Dimension, report_costs
from grabient_ops.pipeline.limits import to_pico
from grabient_ops.pipeline.orders import limit_document
from grabient_ops.pipeline.passes import Budget, change_budget, list_limits
from grabient_ops.web.api.orders import LimitDocument
from grabient_ops.web.api.route import ApiRoute
from grabient_ops.web.api.words import Limit, Text, Usd
from grabient_ops.web.parts import Parts, Web

router = APIRouter(tags=["costs"], route_class=ApiRoute)


class Amounts(TypedDict):
    """Sums over answers; an amount is null where nothing of it is known."""

    answers: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float | None
    cost_pico: int
    standard_usd: float | None
    saved_usd: float | None
    unpriced_answers: int


class CostReport(TypedDict):
    """What `grabient-ops cost report --json` prints; see docs/money.md."""

    by: str
    rows: list[dict[str, Any]]
    kinds: dict[str, Amounts]
    total: Amounts
    settled_usd: float
    settled_pico: int
    reserved_usd: float
    reserved_pico: int
    passes: list[dict[str, Any]]
    prices: list[dict[str, Any]]


class BudgetDocument(LimitDocument):
    """A budget, and the prompt version that it is for; null for all of them."""

    prompt_version: str | None


class NewBudget(BaseModel):
    """The budget of the newest pass of a prompt, the current one unless named; null lifts it."""

    usd: Usd | None
    prompt: Text | None = None


@router.get("/costs")
def report(
    web: Parts,
    by: Annotated[Dimension, Query(description="What the rows stand for.")] = "model",
    limit: Limit = 100,
) -> CostReport:
    """Sum up what the answers have cost, the dearest first, and how good the estimates were."""
    return cast("CostReport", report_costs(web.app.services, by, limit))


@router.get("/budgets")
def list_budgets(web: Parts) -> Sequence[BudgetDocument]:
    """List the budgets that are in force, and what is left of them."""
    return _budgets(web)


@router.post("/budgets")
def set_budget(web: Parts, wanted: NewBudget) -> Sequence[BudgetDocument]:
    """Change a budget; what waits for room goes on."""
    amount: Budget = "lift" if wanted.usd is None else to_pico(wanted.usd)
    change_budget(web.app.services, wanted.prompt, amount)
    return _budgets(web)


def _budgets(web: Web) -> list[BudgetDocument]:
    return [
        BudgetDocument(prompt_version=version, **limit_document(limit))
        for version, limit in list_limits(web.app.services)
    ]
