"""Has palettes tagged: by whom, how often, for how much; the price stands beside the button."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse

from grabient_ops.app import App
from grabient_ops.errors import InputError
from grabient_ops.pipeline.adaptive import USUAL_FLIPS
from grabient_ops.pipeline.orders import TaggingOrder, choose_models
from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.providers.base import ProviderName
from grabient_ops.providers.catalog import Model
from grabient_ops.store.palettes import count_palettes
from grabient_ops.web.fields import OnceKey, Word, Words, amount, budget, posted, whole
from grabient_ops.web.live.panel import Context
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.outlook import look_ahead, place_order
from grabient_ops.web.page import Page
from grabient_ops.web.parts import Parts
from grabient_ops.web.replies import Reply

router = APIRouter(prefix="/jobs/new", include_in_schema=False)
_MOST_RUNS = 1000
_MOST_PALETTES = 10**9
_MOST_FLIPS = 1000.0


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it is filled in.

    Attributes:
        model: who is ticked, as `provider/model`.
        runs, limit, flips, budget: numbers, as they were typed.
        adaptive, lift: "1" when ticked.
        filled: "1" when it comes from the form, where nothing ticked means nobody.
    """

    model: Words = ()
    runs: Word = "1"
    limit: Word = ""
    adaptive: Word = ""
    flips: Word = str(USUAL_FLIPS)
    budget: Word = ""
    lift: Word = ""
    filled: Word = ""

    def order(self, app: App) -> TaggingOrder:
        """Return what is asked for.

        Raises:
            GrabientError: a field makes no sense, or a model is unknown or retired.
        """
        if not self.model:
            raise InputError("choose at least one model")
        return TaggingOrder(
            choose_models(app.catalog, self.model, [], app.services.now().date()),
            whole(self.runs, "runs", _MOST_RUNS),
            whole(self.limit, "palettes", _MOST_PALETTES) if self.limit.strip() else None,
            amount(self.flips, "expected flips", _MOST_FLIPS) if self.adaptive else None,
            budget(self.budget, lift=bool(self.lift)),
        )


class Choice(NamedTuple):
    """A model in the list."""

    model: Model
    name: str
    is_ticked: bool
    is_retired: bool


class Shelf(NamedTuple):
    """One provider's models.

    Attributes:
        missing: the variable that must be set before they can be asked; "" when it is.
    """

    provider: str
    missing: str
    living: Sequence[Choice]
    retired: Sequence[Choice]


def _read_frame(reading: Reading, asked: Asked) -> Context:
    app = reading.app
    providers = dict.fromkeys(model.provider for model in app.catalog.models)
    return {
        "shelves": [_shelf(app, asked, provider) for provider in providers],
        "palettes": count_palettes(reading.connection),
        "prompt": current_prompt(reading.connection),
        "outlook": look_ahead(app, asked.order) if asked.filled else None,
    }


def _shelf(app: App, asked: Asked, provider: ProviderName) -> Shelf:
    missing = app.missing_key(provider) or ""
    today = app.services.now().date()
    choices = []
    for model in app.catalog.models:
        if model.provider == provider:
            name = f"{provider}/{model.id}"
            is_ticked = name in asked.model if asked.filled else model.default and not missing
            is_retired = model.status(today) == "retired"
            choices.append(Choice(model, name, is_ticked and not is_retired, is_retired))
    living = [choice for choice in choices if not choice.is_retired]
    return Shelf(provider, missing, living, [choice for choice in choices if choice.is_retired])


@router.get("/estimate")
def estimate(web: Parts, asked: Annotated[Asked, Depends(Asked)]) -> HTMLResponse:
    """Say what the form as it stands would ask and cost."""
    outlook = look_ahead(web.app, asked.order)
    return HTMLResponse(web.templates.fill("order/outlook.html", outlook=outlook))


@router.post("")
def start(
    web: Parts, reply: Reply, asked: Annotated[Asked, Depends(posted(Asked))], once: OnceKey
) -> Response:
    """Ask for the pass; it is watched on the first page."""
    return reply(web.once(once, lambda: place_order(web.app, asked.order)), to="/", leave=True)


PAGE = Page(
    path="/jobs/new",
    title="New job",
    template="new_job.html",
    params=Asked,
    panels=(),
    frame=_read_frame,
)
