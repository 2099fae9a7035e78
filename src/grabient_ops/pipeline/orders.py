"""Orders: what an operator asks for, by whichever door: by whom, what it will cost, and go."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, Protocol

from grabient_ops.errors import ConfigError
from grabient_ops.pipeline.estimate import Estimate, estimate_runs
from grabient_ops.pipeline.limits import PICO, Limit
from grabient_ops.pipeline.passes import Budget, Wish, limits_under, open_pass, refuse_unpriced
from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.pipeline.refinement import RefinementPass, request_refinements
from grabient_ops.pipeline.refinement_estimate import estimate_refinements
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.tagging import request_runs
from grabient_ops.providers.base import PROVIDERS
from grabient_ops.providers.catalog import Catalog, Model
from grabient_ops.store.palettes import count_palettes


class Order(Protocol):
    """A pass that may be asked for."""

    @property
    def budget(self) -> Budget:
        """What it may cost."""

    def wish(self, services: Services) -> Wish:
        """Return what is asked for, so that the same words are known again."""

    def estimate(self, services: Services) -> Estimate:
        """Say what it would ask and cost."""

    def ask(self, services: Services) -> int:
        """Ask for it; a running worker begins at once. Return how many palettes it is about."""


class TaggingOrder(NamedTuple):
    """Have palettes tagged; see `request_runs`."""

    models: Sequence[Model]
    runs: int = 1
    limit: int | None = None
    flips: float | None = None
    budget: Budget = "keep"

    def wish(self, services: Services) -> Wish:
        """Return what is asked for, so that the same words are known again."""
        with services.store.read() as connection:
            version = current_prompt(connection)
        words = {"runs": self.runs, "limit": self.limit, "flips": self.flips}
        return Wish("tagging", version, self.models, words, self.budget)

    def estimate(self, services: Services) -> Estimate:
        """Say what it would ask and cost."""
        return estimate_runs(services, self.models, self.runs, self.limit)

    def ask(self, services: Services) -> int:
        """Ask for it; a running worker begins at once. Return how many palettes it is about."""
        request_runs(services, self.models, self.runs, self.limit, flips=self.flips)
        with services.store.read() as connection:
            stored = count_palettes(connection)
        return stored if self.limit is None else min(stored, self.limit)


class RefinementOrder(NamedTuple):
    """Have palettes refined; see `request_refinements`."""

    wanted: RefinementPass
    budget: Budget = "keep"

    def wish(self, services: Services) -> Wish:
        """Return what is asked for, so that the same words are known again."""
        with services.store.read() as connection:
            version = current_prompt(connection, "refinement")
        wanted = self.wanted
        words = {
            "runs": wanted.runs,
            "limit": wanted.limit,
            "sources": sorted(wanted.sources),
            "pictures": wanted.pictures,
        }
        return Wish("refinement", version, [wanted.model], words, self.budget)

    def estimate(self, services: Services) -> Estimate:
        """Say what it would ask and cost."""
        return estimate_refinements(services, self.wanted)

    def ask(self, services: Services) -> int:
        """Ask for it; a running worker begins at once. Return how many palettes it is about."""
        return request_refinements(services, self.wanted)


class Placed(NamedTuple):
    """What came of an order.

    Attributes:
        requests: how many are due.
        palettes: how many it is about.
        limits: what their cost must fit under.
        waiting: variable that is not set -> models that must wait for it.
    """

    requests: int
    palettes: int
    limits: list[Limit]
    waiting: Mapping[str, list[str]]


def place(services: Services, order: Order) -> Placed:
    """Write the pass down and ask for it; the same order again changes nothing.

    Raises:
        ConfigError: no model has a key, or one has no known price and there is a limit.
        InputError: there is nothing to ask about.
    """
    wish = order.wish(services)
    waiting = missing_keys(services, wish.models)
    estimate = order.estimate(services)
    limits = open_pass(services, wish, estimate.to_json())
    palettes = order.ask(services)
    return Placed(estimate.requests, palettes, limits, waiting)


def foresee(services: Services, order: Order) -> tuple[Estimate, list[Limit]]:
    """Return what an order would ask and cost, and the limits that it would be under.

    Raises:
        ConfigError: a model has no known price, and there is a limit.
    """
    wish = order.wish(services)
    with services.store.read() as connection:
        limits = limits_under(connection, services, wish)
    refuse_unpriced(wish, limits)
    return order.estimate(services), limits


def choose_models(
    catalog: Catalog, names: Sequence[str], providers: Sequence[str], today: date
) -> list[Model]:
    """Return the models that the words mean: the named ones, or the ten; then by provider.

    Raises:
        ConfigError: a name is unknown, a model is retired, or nothing is left.
    """
    for name in providers:
        if name not in PROVIDERS:
            raise ConfigError(f"no provider is called {name!r}; there are {', '.join(PROVIDERS)}")
    chosen = [catalog.find(name) for name in dict.fromkeys(names)]
    if not names:
        chosen = list(catalog.defaults())
        if providers:
            chosen = [m for m in catalog.models if m.default and m.provider in providers]
    elif providers:
        chosen = [model for model in chosen if model.provider in providers]
    for model in chosen:
        catalog.require_living(model, today)
    if not chosen:
        raise ConfigError("no model is left; see `grabient-ops models list`")
    return chosen


def missing_keys(services: Services, models: Sequence[Model]) -> dict[str, list[str]]:
    """Return the variables that are not set, each with the models that must wait for it.

    Raises:
        ConfigError: all of them must.
    """
    missing: dict[str, list[str]] = {}
    for model in models:
        variable = services.missing_key(model.provider)
        if variable:
            missing.setdefault(variable, []).append(model.id)
    if sum(map(len, missing.values())) == len(models):
        raise ConfigError(f"no key is set for these models; set {' or '.join(missing)}")
    return missing


def limit_document(limit: Limit) -> dict[str, Any]:
    """Return a limit as programs read it."""
    return {
        "limit": limit.name,
        "budget_usd": limit.cap / PICO,
        "spent_usd": limit.spending.settled / PICO,
        "reserved_usd": limit.spending.reserved / PICO,
        "left_usd": limit.left / PICO,
    }


def fit_document(limit: Limit, estimate: Estimate) -> dict[str, Any]:
    """Return a limit, and whether an estimate fits under it: as expected, and at the most."""
    document = limit_document(limit)
    left = document["left_usd"]
    return {
        **document,
        "covers_expected": estimate.batch_usd is not None and estimate.batch_usd <= left,
        "covers_most": estimate.most_usd is not None and estimate.most_usd <= left,
    }
