"""What the catalog knows of prices, as the questions of the warehouse take it."""

from typing import TYPE_CHECKING

from grabient_ops.providers.catalog import Catalog

if TYPE_CHECKING:
    from grabient_ops.analytics.questions.usage import ModelPrices


def prices_of(catalog: Catalog) -> "tuple[ModelPrices, ...]":
    """Return the prices of all models."""
    from grabient_ops.analytics.questions.usage import ModelPrices

    names = ModelPrices._fields[2:]
    return tuple(
        ModelPrices(
            model.provider, model.id, *(getattr(model.prices, name, None) for name in names)
        )
        for model in catalog.models
    )
