"""What an order would ask and cost, for forms: a problem is part of the answer, not its end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grabient_ops.app import App
from grabient_ops.errors import ConfigError, GrabientError
from grabient_ops.logs import scrub
from grabient_ops.pipeline.estimate import Estimate
from grabient_ops.pipeline.limits import PICO, Limit
from grabient_ops.pipeline.orders import Order, Placed, fit_document, foresee, missing_keys, place


@dataclass(frozen=True, slots=True)
class Outlook:
    """An order before it is placed.

    Attributes:
        problem: why it would be refused; "" when it would not.
        limits: what it must fit under, and whether it does; see `fit_document`.
        waiting: variable that is not set -> models that must wait for it.
    """

    problem: str = ""
    estimate: Estimate | None = None
    limits: Sequence[tuple[Limit, Mapping[str, Any]]] = ()
    waiting: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def saved_usd(self) -> float | None:
        """What batches save; None when a price is unknown."""
        saved: float | None = self.estimate.to_json()["saved_usd"] if self.estimate else None
        return saved


def look_ahead(app: App, order_of: Callable[[App], Order]) -> Outlook:
    """Say what an order would ask and cost; nothing is asked for."""
    try:
        app.refuse_mixing()
        order = order_of(app)
        estimate, limits = foresee(app.services, order)
    except GrabientError as error:
        return Outlook(scrub(str(error)))
    fits = [(limit, fit_document(limit, estimate)) for limit in limits]
    try:
        waiting = missing_keys(app.services, order.wish(app.services).models)
    except ConfigError as error:
        return Outlook(str(error), estimate, fits)
    return Outlook("", estimate, fits, waiting)


def place_order(app: App, order_of: Callable[[App], Order]) -> str:
    """Place an order; return what came of it, in one sentence or two.

    Raises:
        GrabientError: it is refused; the message says why.
    """
    app.refuse_mixing()
    placed = place(app.services, order_of(app))
    return " ".join([_due(placed), *_waits(placed), *_limits(placed)])


def _due(placed: Placed) -> str:
    if not placed.requests:
        return f"All of it was answered before: {placed.palettes:,} palettes, nothing to ask."
    return f"{placed.requests:,} requests are due for {placed.palettes:,} palettes."


def _waits(placed: Placed) -> list[str]:
    return [
        f"{', '.join(models)} must wait: {variable} is not set."
        for variable, models in placed.waiting.items()
    ]


def _limits(placed: Placed) -> list[str]:
    return [
        f"Of {limit.name}, ${max(limit.left, 0) / PICO:,.2f} are left." for limit in placed.limits
    ]
