"""The first page: how far everything is, what it has cost, what goes wrong."""

from grabient_ops.pipeline.status import current_run, sum_runs
from grabient_ops.store.batches import list_batches
from grabient_ops.store.error_pages import browse_errors
from grabient_ops.store.palettes import count_palettes
from grabient_ops.store.progress import Progress, count_batches
from grabient_ops.store.refinements import count_refined_palettes
from grabient_ops.store.spending import measure_spending
from grabient_ops.tagging.kinds import KINDS
from grabient_ops.web.journey import STAGES, journey
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.topics import REFINEMENT, TAGGING, Topic
from grabient_ops.web.page import Nothing, Page

_BATCHES = 12
_ERRORS = 6
_CARDS: frozenset[Topic] = REFINEMENT | {"batches", "budgets"}


def _read_cards(reading: Reading, _params: Nothing) -> Context:
    connection = reading.connection
    runs = sum_runs(reading.score.progress)
    return {
        "palettes": reading.kept(
            "palettes", frozenset({"palettes"}), lambda: count_palettes(connection)
        ),
        "refined": reading.kept(
            "refined", frozenset({"refinements"}), lambda: count_refined_palettes(connection)
        ),
        "runs": runs,
        "current_run": current_run(reading.score.progress),
        "totals": {
            key: sum(run[key] for run in runs)
            for key in ("expected", "succeeded", "failed", "pending")
        },
        "waiting": count_batches(connection).get("waiting", 0),
        "spending": measure_spending(connection),
    }


def _read_models(reading: Reading, _params: Nothing) -> Context:
    runs: dict[tuple[str, str], list[Progress]] = {}
    for item in reading.score.progress:
        runs.setdefault((item.provider, item.model), []).append(item)
    return {
        "models": [
            (model, runs.get((model["provider"], model["model"]), []))
            for model in reading.score.models
        ]
    }


def _read_workflows(reading: Reading, _params: Nothing) -> Context:
    found = list_batches(reading.connection, limit=_BATCHES)
    return {"rows": [journey(batch) for batch in found], "stages": STAGES}


def _read_errors(reading: Reading, _params: Nothing) -> Context:
    errors = [
        error for kind in KINDS for error in browse_errors(reading.connection, kind, _ERRORS).errors
    ]
    return {"errors": sorted(errors, key=lambda error: error.created_at, reverse=True)[:_ERRORS]}


PAGE = Page(
    path="/",
    title="Overview",
    template="overview.html",
    params=Nothing,
    panels=(
        Panel("overview-cards", _CARDS, "overview/cards.html", _read_cards),
        Panel("overview-models", TAGGING, "overview/models.html", _read_models),
        Panel(
            "overview-workflows", frozenset({"batches"}), "overview/workflows.html", _read_workflows
        ),
        Panel(
            "overview-errors",
            frozenset({"responses", "refinements"}),
            "overview/errors.html",
            _read_errors,
        ),
    ),
)
