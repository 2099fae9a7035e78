"""Orders: have palettes tagged or refined, and say before what that costs."""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from grabient_ops.app import App
from grabient_ops.errors import ConfigError
from grabient_ops.pipeline.limits import to_pico
from grabient_ops.pipeline.orders import (
    Order,
    RefinementOrder,
    TaggingOrder,
    choose_models,
    fit_document,
    foresee,
    limit_document,
    place,
)
from grabient_ops.pipeline.passes import Budget
from grabient_ops.pipeline.refinement import RefinementPass
from grabient_ops.web.api.route import ApiRoute
from grabient_ops.web.api.words import Count, ProviderWord, Runs, Text, Usd
from grabient_ops.web.parts import Parts

router = APIRouter(tags=["orders"], route_class=ApiRoute)


class _Order(BaseModel):
    runs: Runs = 1
    limit: Count | None = Field(None, description="Only so many palettes.")
    budget_usd: Usd | None = Field(None, description="What might cross this is not sent.")
    lift_budget: bool = Field(default=False, description="Lift the budget that is in force.")

    @property
    def budget(self) -> Budget:
        """What the two fields say.

        Raises:
            ConfigError: both say something.
        """
        if self.budget_usd is None:
            return "lift" if self.lift_budget else "keep"
        if self.lift_budget:
            raise ConfigError("budget_usd and lift_budget exclude each other")
        return to_pico(self.budget_usd)


class NewTagging(_Order):
    """Every palette by every model, so many runs."""

    models: list[Text] = Field([], max_length=100, description="None: the default ones.")
    providers: list[ProviderWord] = Field([], max_length=4, description="Only theirs.")
    flips: float | None = Field(
        None, ge=0, le=1000, allow_inf_nan=False,
        description="Leave palettes out once another run is expected to flip fewer tags.",
    )  # fmt: skip

    def order(self, app: App) -> Order:
        """Return what is asked for."""
        today = app.services.now().date()
        models = choose_models(app.catalog, self.models, self.providers, today)
        return TaggingOrder(models, self.runs, self.limit, self.flips, self.budget)


class NewRefinement(_Order):
    """The consensus of each palette by one strong model; those with most answers first."""

    model: Text | None = Field(None, description="None: GRABIENT_OPS_REFINEMENT_MODEL.")
    sources: list[Text] = Field([], max_length=20, description="None: the current prompt.")
    pictures: bool = Field(default=True, description="Show each palette's picture.")

    def order(self, app: App) -> Order:
        """Return what is asked for."""
        choice = app.refinement_choice(self.model, with_pictures=self.pictures)
        wanted = RefinementPass(choice.model, self.sources, self.limit, self.runs, choice.pictures)
        return RefinementOrder(wanted, self.budget)


class LimitDocument(BaseModel):
    """A budget that is in force."""

    limit: str
    budget_usd: float
    spent_usd: float
    reserved_usd: float
    left_usd: float


class Fit(LimitDocument):
    """A budget, and whether it suffices: as expected, and in any case."""

    covers_expected: bool
    covers_most: bool


class EstimateDocument(BaseModel):
    """What an order would ask and cost; amounts are null where a price is unknown."""

    requests: int
    input_tokens: int
    output_tokens: int
    batch_usd: float | None
    standard_usd: float | None
    most_usd: float | None
    saved_usd: float | None
    limits: list[Fit]


class Accepted(NamedTuple):
    """What is due now; a running worker sends it.

    Attributes:
        waiting: variable that is not set -> models that must wait for it.
    """

    requests: int
    palettes: int
    models: Sequence[str]
    waiting: Mapping[str, list[str]]
    limits: Sequence[LimitDocument]


@router.get("/tagging/estimate")
def estimate_tagging(web: Parts, wanted: Annotated[NewTagging, Query()]) -> EstimateDocument:
    """Say what tagging would ask and cost; nothing is asked for."""
    return _foresee(web.app, wanted)


@router.post("/tagging", status_code=202)
def order_tagging(web: Parts, wanted: NewTagging) -> Accepted:
    """Have palettes tagged; the same words again change nothing."""
    return _place(web.app, wanted)


@router.get("/refinement/estimate")
def estimate_refinement(web: Parts, wanted: Annotated[NewRefinement, Query()]) -> EstimateDocument:
    """Say what refining would ask and cost; nothing is asked for."""
    return _foresee(web.app, wanted)


@router.post("/refinement", status_code=202)
def order_refinement(web: Parts, wanted: NewRefinement) -> Accepted:
    """Have palettes refined; the same words again change nothing."""
    return _place(web.app, wanted)


def _foresee(app: App, wanted: NewTagging | NewRefinement) -> EstimateDocument:
    estimate, limits = foresee(app.services, wanted.order(app))
    fits = [Fit(**fit_document(limit, estimate)) for limit in limits]
    return EstimateDocument(**estimate.to_json(), limits=fits)


def _place(app: App, wanted: NewTagging | NewRefinement) -> Accepted:
    app.refuse_mixing()
    order = wanted.order(app)
    placed = place(app.services, order)
    models = [f"{model.provider}/{model.id}" for model in order.wish(app.services).models]
    limits = [LimitDocument(**limit_document(limit)) for limit in placed.limits]
    return Accepted(placed.requests, placed.palettes, models, placed.waiting, limits)
