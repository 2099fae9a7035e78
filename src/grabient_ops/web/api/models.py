"""Models: what can be asked, until when, and for how much."""

from typing import Literal, NamedTuple

from fastapi import APIRouter

from grabient_ops.providers.catalog import Model
from grabient_ops.web.api.route import ApiRoute
from grabient_ops.web.api.words import ProviderWord
from grabient_ops.web.parts import Parts

router = APIRouter(prefix="/models", tags=["models"], route_class=ApiRoute)


class ListedModel(NamedTuple):
    """A model of the catalog, as it stands today.

    Attributes:
        missing_key: the variable that must be set before it can be asked.
    """

    model: Model
    status: Literal["active", "retiring", "retired"]
    missing_key: str | None


@router.get("")
def list_models(web: Parts, provider: ProviderWord | None = None) -> list[ListedModel]:
    """List the catalog, with prices in USD per million tokens."""
    today = web.app.services.now().date()
    return [
        ListedModel(model, model.status(today), web.app.missing_key(model.provider))
        for model in web.app.catalog.models
        if provider in {None, model.provider}
    ]
