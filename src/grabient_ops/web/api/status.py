"""How far everything is."""

from typing import cast

from fastapi import APIRouter
from typing_extensions import TypedDict

from grabient_ops.pipeline.status import read_status
from grabient_ops.web.api.route import ApiRoute
from grabient_ops.web.parts import Parts

router = APIRouter(tags=["status"], route_class=ApiRoute)


class RunStatus(TypedDict):
    """One pass of all palettes and models; `succeeded + failed + pending = expected`."""

    run_number: int
    expected: int
    succeeded: int
    failed: int
    pending: int


class ModelStatus(TypedDict):
    """One model in all runs; the cost is at batch prices, null without a known price."""

    provider: str
    model: str
    expected: int
    succeeded: int
    failed: int
    pending: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


class RefinementStatus(TypedDict):
    """How far refinement is, in palettes."""

    ready: int
    refined: int
    pending: int
    failed: int


class Status(TypedDict):
    """What `grabient-ops status --json` prints."""

    palettes: int
    prompt_version: str
    target_runs: int
    current_run: int
    runs: list[RunStatus]
    models: list[ModelStatus]
    saved_requests: int
    batches: dict[str, int]
    refinement: RefinementStatus


@router.get("/status")
def show_status(web: Parts) -> Status:
    """Say how far the current prompt's runs are, model by model."""
    return cast("Status", read_status(web.app.services))
