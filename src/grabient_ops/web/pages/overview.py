"""The first page: how far everything is, what it has cost, what goes wrong."""

from typing import Any

from grabient_ops.store.batches import list_batches
from grabient_ops.store.error_pages import browse_errors
from grabient_ops.web.journey import STAGES, journey
from grabient_ops.web.live.panel import Context, Panel, Topic
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Nothing, Page

_BATCHES = 12
_ERRORS = 6
_COUNTED: frozenset[Topic] = frozenset(
    {"palettes", "prompts", "targets", "batches", "responses", "refinements", "budgets"}
)


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
    return {"rows": [journey(batch) for batch in found], "stages": STAGES}


def _read_errors(reading: Reading, _params: Nothing) -> Context:
    return {"errors": browse_errors(reading.connection, "tagging", _ERRORS).errors}


PAGE = Page(
    path="/",
    title="Overview",
    template="overview.html",
    params=Nothing,
    panels=(
        Panel("overview-cards", _COUNTED, "overview/cards.html", _read_status),
        Panel("overview-models", _COUNTED, "overview/models.html", _read_status),
        Panel(
            "overview-workflows", frozenset({"batches"}), "overview/workflows.html", _read_workflows
        ),
        Panel("overview-errors", frozenset({"responses"}), "overview/errors.html", _read_errors),
    ),
)
