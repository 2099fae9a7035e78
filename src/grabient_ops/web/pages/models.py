"""The models that can be asked: lifecycle, prices, limits, and whether a key is there."""

from collections.abc import Sequence
from typing import NamedTuple

from grabient_ops.providers.catalog import Model
from grabient_ops.web.live.panel import Context
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Nothing, Page


class Entry(NamedTuple):
    """A model of the catalog.

    Attributes:
        status: `active`, `retiring` or `retired`.
        missing: the variable that must be set before it can be asked; "" when it is.
    """

    model: Model
    status: str
    missing: str


class Shelf(NamedTuple):
    """One provider's models, those that no longer answer last."""

    provider: str
    missing: str
    entries: Sequence[Entry]


def _read_frame(reading: Reading, _params: Nothing) -> Context:
    app = reading.app
    today = app.services.now().date()
    entries = [
        Entry(model, model.status(today), app.missing_key(model.provider) or "")
        for model in app.catalog.models
    ]
    entries.sort(key=lambda entry: (entry.status == "retired", not entry.model.default))
    providers = dict.fromkeys(model.provider for model in app.catalog.models)
    shelves = [
        Shelf(name, app.missing_key(name) or "", [e for e in entries if e.model.provider == name])
        for name in providers
    ]
    return {"shelves": shelves, "overlay": app.settings.home / "models.toml"}


PAGE = Page(
    path="/models",
    title="Models",
    template="models.html",
    params=Nothing,
    panels=(),
    frame=_read_frame,
)
