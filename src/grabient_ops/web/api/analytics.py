"""Questions to the warehouse: what all answers together say."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Query

from grabient_ops.analytics.questions import agreement as agreeing
from grabient_ops.analytics.questions import usage as using
from grabient_ops.analytics.questions import versions as comparing
from grabient_ops.analytics.questions.accuracy import Accuracy, accuracy
from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.convergence import Convergence, convergence
from grabient_ops.analytics.questions.reliability import Reliability, reliability
from grabient_ops.analytics.questions.tags import TopTag, top_tags
from grabient_ops.web.api.route import ApiRoute, problems
from grabient_ops.web.api.warehouse import OpenWarehouse
from grabient_ops.web.api.words import Category, Limit, Number, Text, selection
from grabient_ops.web.parts import Parts

router = APIRouter(
    prefix="/analytics", tags=["analytics"], route_class=ApiRoute, responses=problems(409)
)
Chosen = Annotated[Selection, Depends(selection)]


class Agreements(NamedTuple):
    """How far all answers agree, and each two models."""

    categories: Sequence[agreeing.Agreement]
    pairs: Sequence[agreeing.PairAgreement]


@router.get("/top-tags")
def list_top_tags(
    warehouse: OpenWarehouse,
    chosen: Chosen,
    category: Category | None = None,
    per_category: bool = False,  # noqa: FBT001, FBT002 - name in the query
    limit: Limit = 100,
) -> list[TopTag]:
    """List the tags that were given most often."""
    return top_tags(warehouse, chosen, category=category, per_category=per_category, limit=limit)


@router.get("/versions")
def list_versions(warehouse: OpenWarehouse, chosen: Chosen) -> list[comparing.Version]:
    """Sum up each prompt version."""
    return comparing.versions(warehouse, chosen)


@router.get("/differences")
def compare_versions(
    warehouse: OpenWarehouse,
    old: Text,
    new: Text,
    chosen: Chosen,
    min_votes: Annotated[Number, Query(ge=1, description="Leave rarer tags out.")] = 5,
    limit: Limit = 100,
) -> list[comparing.TagDifference]:
    """Compare two prompt versions tag by tag, the surest difference first."""
    found = comparing.version_difference(warehouse, old, new, chosen, min_votes=min_votes)
    return found[:limit]


@router.get("/agreement")
def show_agreement(warehouse: OpenWarehouse, chosen: Chosen) -> Agreements:
    """Show how far the answers agree (Krippendorff's alpha), and each pair of models."""
    return Agreements(
        agreeing.agreement(warehouse, chosen), agreeing.pair_agreement(warehouse, chosen)
    )


@router.get("/reliability")
def show_reliability(warehouse: OpenWarehouse, chosen: Chosen) -> list[Reliability]:
    """Estimate how reliable each model is, judged by all others (Dawid-Skene)."""
    return reliability(warehouse, chosen)


@router.get("/accuracy")
def show_accuracy(warehouse: OpenWarehouse, chosen: Chosen) -> list[Accuracy]:
    """Hold each model's tags against what the colours say."""
    return accuracy(warehouse, chosen)


@router.get("/convergence")
def show_convergence(warehouse: OpenWarehouse, chosen: Chosen) -> list[Convergence]:
    """Show how much the consensus still moves with each run."""
    return convergence(warehouse, chosen)


@router.get("/usage")
def show_usage(
    warehouse: OpenWarehouse,
    web: Parts,
    chosen: Chosen,
    by: Annotated[Sequence[using.Part], Query(max_length=4)] = ("provider", "model"),
) -> list[using.Used]:
    """Sum up tokens and cost, and what batch prices saved."""
    parts = [part for part in using.PARTS if part in by]
    return using.usage(warehouse, web.app.model_prices(), chosen, by=parts)


@router.get("/failures")
def show_failures(warehouse: OpenWarehouse, chosen: Chosen) -> list[using.Failures]:
    """Count how each model's requests failed; every attempt counts."""
    return using.errors(warehouse, chosen)
