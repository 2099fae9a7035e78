"""The first page: how far everything is, what it has cost, what goes wrong."""

from typing import Any, NamedTuple

from grabient_ops.store.batches import Batch, list_batches
from grabient_ops.store.failures import newest_errors
from grabient_ops.web.live.panel import Context, Panel, Topic
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Nothing, Page

_BATCHES = 12
_ERRORS = 6
_COUNTED: frozenset[Topic] = frozenset(
    {"palettes", "prompts", "targets", "batches", "responses", "refinements", "budgets"}
)
STAGES = ("submitted", "waiting", "collecting", "done")
_STAGE_OF = {
    "reserved": 0, "over_budget": 0, "submitting": 0, "waiting": 1, "canceling": 1,
    "collecting": 2,
}  # fmt: skip


class WorkflowRow(NamedTuple):
    """A batch on its way.

    Attributes:
        batch: as it is stored.
        stage: index into `STAGES`; what has ended is at the last.
        done: requests that the provider reports as finished, or all once the batch has ended.
    """

    batch: Batch
    stage: int
    done: int


def _read_status(reading: Reading, _params: Nothing) -> Context:
    status = reading.status
    models: list[dict[str, Any]] = status["models"]
    costs = [model["cost_usd"] for model in models]
    return {
        "status": status,
        "totals": {
            key: sum(model[key] for model in models)
            for key in ("expected", "succeeded", "failed", "pending")
        },
        "spent": None if None in costs else sum(costs),
    }


def _read_workflows(reading: Reading, _params: Nothing) -> Context:
    found = list_batches(reading.connection, limit=_BATCHES)
    return {"rows": [_row(batch) for batch in found], "stages": STAGES}


def _read_errors(reading: Reading, _params: Nothing) -> Context:
    return {"errors": newest_errors(reading.connection, _ERRORS)}


def _row(batch: Batch) -> WorkflowRow:
    if batch.ended_at is not None:
        return WorkflowRow(batch, len(STAGES) - 1, batch.request_count)
    return WorkflowRow(
        batch, _STAGE_OF.get(batch.state, 1), batch.live_completed + batch.live_failed
    )


PAGES = (
    Page(
        path="/",
        title="Overview",
        template="overview.html",
        params=Nothing,
        panels=(
            Panel("overview-cards", _COUNTED, "overview/cards.html", _read_status),
            Panel("overview-models", _COUNTED, "overview/models.html", _read_status),
            Panel(
                "overview-workflows",
                frozenset({"batches"}),
                "overview/workflows.html",
                _read_workflows,
            ),
            Panel(
                "overview-errors", frozenset({"responses"}), "overview/errors.html", _read_errors
            ),
        ),
    ),
)
