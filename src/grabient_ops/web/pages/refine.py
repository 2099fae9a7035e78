"""Has one strong model refine what is tagged: from which answers, with which budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse

from grabient_ops.app import App
from grabient_ops.errors import ConfigError, InputError
from grabient_ops.pipeline.orders import RefinementOrder
from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.pipeline.refinement import RefinementPass
from grabient_ops.providers.catalog import Model
from grabient_ops.store.prompts import PromptVersion, list_prompts
from grabient_ops.web.fields import OnceKey, Word, Words, budget, posted, whole
from grabient_ops.web.live.panel import Context, Panel
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.outlook import look_ahead, place_order
from grabient_ops.web.page import Page
from grabient_ops.web.parts import Parts
from grabient_ops.web.replies import Reply

router = APIRouter(prefix="/refine", include_in_schema=False)
_MOST_RUNS = 100
_MOST_PALETTES = 10**9


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it is filled in.

    Attributes:
        model: who refines, as `provider/model`; "" for the model of the settings.
        source: the prompt versions whose answers are summed up.
        runs, limit, budget: numbers, as they were typed.
        blind, lift: "1" when ticked: show no picture; lift the budget.
        filled: "1" when it comes from the form.
    """

    model: Word = ""
    source: Words = ()
    runs: Word = "1"
    limit: Word = ""
    blind: Word = ""
    budget: Word = ""
    lift: Word = ""
    filled: Word = ""

    def order(self, app: App) -> RefinementOrder:
        """Return what is asked for.

        Raises:
            GrabientError: a field makes no sense, or the model is unknown or retired.
        """
        if self.filled and not self.source:
            raise InputError("choose at least one prompt version whose answers are summed up")
        choice = app.refinement_choice(self.model or None, with_pictures=not self.blind)
        limit = whole(self.limit, "palettes", _MOST_PALETTES) if self.limit.strip() else None
        runs = whole(self.runs, "runs", _MOST_RUNS)
        wanted = RefinementPass(choice.model, self.source, limit, runs, choice.pictures)
        return RefinementOrder(wanted, budget(self.budget, lift=bool(self.lift)))


class Source(NamedTuple):
    """A prompt version whose answers may be summed up."""

    prompt: PromptVersion
    answers: int
    is_ticked: bool


class Refiner(NamedTuple):
    """A model that may refine; `obstacle` says why it cannot, or not yet."""

    model: Model
    name: str
    is_retired: bool
    obstacle: str


def _read_state(reading: Reading, _asked: Asked) -> Context:
    return {"refinement": reading.refinement}


def _read_frame(reading: Reading, asked: Asked) -> Context:
    app = reading.app
    refiners = [_refiner(app, model) for model in app.catalog.models]
    refiners.sort(key=lambda refiner: refiner.model.provider)
    current = current_prompt(reading.connection)
    return {
        "providers": [
            (name, list(some)) for name, some in groupby(refiners, lambda item: item.model.provider)
        ],
        "chosen": _chosen(app, asked.model),
        "sources": _sources(reading, asked, current),
        "pictures": app.settings.refinement_pictures,
        "outlook": look_ahead(app, asked.order) if asked.filled else None,
    }


def _chosen(app: App, name: str) -> str:
    """Return the full name of a model, or of the one of the settings; "" when there is none."""
    try:
        model = app.catalog.find(name or app.settings.refinement_model)
    except ConfigError:
        return ""
    return f"{model.provider}/{model.id}"


def _sources(reading: Reading, asked: Asked, current: str) -> Sequence[Source]:
    ticked = asked.source if asked.filled else (current,)
    return [
        Source(prompt, answers, prompt.version in ticked)
        for prompt, answers in list_prompts(reading.connection)
        if prompt.kind == "tagging"
    ]


def _refiner(app: App, model: Model) -> Refiner:
    name = f"{model.provider}/{model.id}"
    is_retired = model.status(app.services.now().date()) == "retired"
    missing = app.missing_key(model.provider)
    if is_retired:
        return Refiner(model, name, is_retired, f"retired on {model.retires_on}")
    return Refiner(model, name, is_retired, f"{missing} is not set" if missing else "")


@router.get("/estimate")
def estimate(web: Parts, asked: Annotated[Asked, Depends(Asked)]) -> HTMLResponse:
    """Say what the form as it stands would ask and cost."""
    outlook = look_ahead(web.app, asked.order)
    return HTMLResponse(web.templates.fill("order/outlook.html", outlook=outlook))


@router.post("")
def start(
    web: Parts, reply: Reply, asked: Annotated[Asked, Depends(posted(Asked))], once: OnceKey
) -> Response:
    """Ask for the refinements; they are watched here."""
    text = web.once(once, lambda: place_order(web.app, asked.order))
    return reply(text, to="/refine", leave=True)


PAGE = Page(
    path="/refine",
    title="Refine",
    template="refine.html",
    params=Asked,
    panels=(
        Panel(
            "refine-state",
            frozenset(
                {"palettes", "prompts", "targets", "batches", "responses", "refinements", "budgets"}
            ),
            "refine/state.html",
            _read_state,
        ),
    ),
    frame=_read_frame,
)
