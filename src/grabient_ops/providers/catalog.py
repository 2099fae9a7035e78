"""The models that we know: prices, limits, parameters and lifecycle, as dated data."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from grabient_ops.errors import ConfigError
from grabient_ops.providers._catalog_file import Table, read_tables
from grabient_ops.tagging.usage import Usage

Price = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
PictureForm = Literal["url", "inline"]
"""How a picture is sent: as the address of one that the provider fetches, or as the PNG itself."""

_FETCH_PICTURES = ("openai", "anthropic")


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens.

    Attributes:
        input, cached_input, output: the standard price.
        batch_input, batch_cached_input, batch_output: the batch price.
        as_of: when the price was read at its source.
    """

    input: Price
    cached_input: Price
    output: Price
    batch_input: Price
    batch_cached_input: Price
    batch_output: Price
    as_of: date

    def batch_cost(self, usage: Usage) -> int:
        """What the tokens cost through the batch API, in pico-dollars (1e-12 USD), exactly."""
        fresh = usage.input_tokens - usage.cached_tokens
        return (
            fresh * _pico(self.batch_input)
            + usage.cached_tokens * _pico(self.batch_cached_input)
            + usage.output_tokens * _pico(self.batch_output)
        )

    def standard_cost(self, usage: Usage) -> int:
        """What the tokens would have cost through the ordinary API, in pico-dollars, exactly."""
        fresh = usage.input_tokens - usage.cached_tokens
        return (
            fresh * _pico(self.input)
            + usage.cached_tokens * _pico(self.cached_input)
            + usage.output_tokens * _pico(self.output)
        )

    def batch_usd(self, usage: Usage) -> float:
        """What the tokens cost through the batch API, in USD."""
        fresh = usage.input_tokens - usage.cached_tokens
        return (
            fresh * self.batch_input
            + usage.cached_tokens * self.batch_cached_input
            + usage.output_tokens * self.batch_output
        ) / 1e6

    def standard_usd(self, usage: Usage) -> float:
        """What the same tokens would have cost through the ordinary API, in USD."""
        fresh = usage.input_tokens - usage.cached_tokens
        return (
            fresh * self.input
            + usage.cached_tokens * self.cached_input
            + usage.output_tokens * self.output
        ) / 1e6


@cache
def _pico(usd_per_million: float) -> int:
    """Return pico-dollars per token; a price is a short decimal, so rounding only undoes binary."""
    return round(usd_per_million * 1_000_000)


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider, as far as a batch of ours needs to know it.

    Attributes:
        provider: `openai`, `anthropic`, `google` or `groq`.
        id: the provider's model id, verbatim.
        default: one of the ten of a default pass.
        retires_on: the first day on which it no longer answers (or answers as another model).
        neighbour: a living model of the same provider to use instead, once it is retired.
        prices: None when nobody publishes them.
        temperature: what we send; None when the model refuses the parameter.
        max_output_tokens: what we allow for one answer, reasoning included.
        max_tokens_parameter: the wire name of that limit.
        structured_output: `json_schema`, `json_object` or `none`, inside batches.
        extra: further wire parameters, merged into the request body as they are (reasoning
            effort, thinking budget ...).
        batch_requests: most requests in one batch that we send.
        batch_bytes: most payload bytes in one batch that we send.
        queue_tokens: most input tokens of ours that may wait at the provider; None when unknown.
        refinement: fields that are otherwise when it refines, `extra` among them.
        image_tokens: most input tokens that one picture of ours (800 x 400) costs; None when it
            sees no pictures, or nobody says what they cost.
        as_of, source: when and where lifecycle and limits were read.
    """

    provider: Literal["openai", "anthropic", "google", "groq"]
    id: str
    max_output_tokens: Count
    max_tokens_parameter: str
    structured_output: Literal["json_schema", "json_object", "none"]
    batch_requests: Count
    batch_bytes: Count
    as_of: date
    source: str
    default: bool = False
    retires_on: date | None = None
    neighbour: str | None = None
    prices: Prices | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    extra: Table = field(default_factory=dict)
    queue_tokens: Count | None = None
    refinement: Table = field(default_factory=dict)
    image_tokens: Count | None = None

    def status(self, today: date) -> Literal["active", "retiring", "retired"]:
        """`retired` from `retires_on` on, `retiring` while that day is known and ahead."""
        if self.retires_on is None:
            return "active"
        return "retired" if today >= self.retires_on else "retiring"

    def picture_form(self, *, public: bool) -> PictureForm | None:
        """How to show it a picture; None when it cannot see.

        Args:
            public: whether our pictures have an address that the provider can fetch from.
        """
        if self.image_tokens is None:
            return None
        return "url" if public and self.provider in _FETCH_PICTURES else "inline"


_DATE = re.compile(r"-\d{8}$")


class Catalog:
    """Every known model, in the order of the file; a failed look-up says what would work."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.models = tuple(models)

    def defaults(self) -> tuple[Model, ...]:
        """The ten models of a default pass."""
        return tuple(model for model in self.models if model.default)

    def get(self, provider: str, model_id: str) -> Model:
        """The model of this provider with exactly this id.

        Raises:
            ConfigError: the catalog has no such model.
        """
        for model in self.models:
            if (model.provider, model.id) == (provider, model_id):
                return model
        raise ConfigError(self._unknown(f"{provider}/{model_id}"))

    def prices(self, provider: str, model_id: str, returned: str | None) -> Prices | None:
        """The prices of the model that answered, or, where we do not know it, of the one asked."""
        known = {model.id: model.prices for model in self.models if model.provider == provider}
        return known[returned] if returned in known else known.get(model_id)

    def find(self, name: str) -> Model:
        """The model that `name` means: an id, or `provider/id`.

        Raises:
            ConfigError: no model or several have this name; the message offers close ones.
        """
        found = [model for model in self.models if name in (model.id, _label(model))]
        # Anthropic's ids end in a date; people leave it out.
        found = found or [model for model in self.models if name == _DATE.sub("", model.id)]
        if len(found) == 1:
            return found[0]
        if found:
            choices = " or ".join(map(_label, found))
            raise ConfigError(f"Several models are called {name!r}; write {choices}")
        raise ConfigError(self._unknown(name))

    def require_living(self, model: Model, today: date) -> None:
        """Refuse a model that no longer answers under its own name.

        Raises:
            ConfigError: it is retired; the message names its neighbour.
        """
        if model.status(today) == "retired":
            advice = f"; use {model.neighbour}" if model.neighbour else ""
            raise ConfigError(f"{_label(model)} retired on {model.retires_on}{advice}")

    def _unknown(self, name: str) -> str:
        labels = {key: _label(model) for model in self.models for key in (model.id, _label(model))}
        close = dict.fromkeys(labels[key] for key in get_close_matches(name, labels))
        advice = f"did you mean {' or '.join(close)}?" if close else "see `models list`"
        return f"No model is called {name!r}; {advice}"


def load_catalog(overlay: Path | None = None) -> Catalog:
    """Read the packaged catalog, and lay the operator's file over it when it exists.

    Args:
        overlay: `models.toml` in the home; same form as `catalog.toml`, may add models and
            override single fields.

    Raises:
        ConfigError: a file is not TOML, or a field is unknown, missing or of the wrong type.
    """
    return Catalog(_model(name, table) for name, table in read_tables(overlay))


def _label(model: Model) -> str:
    return f"{model.provider}/{model.id}"


def _model(name: str, table: Table) -> Model:
    """Check one model's table; `name` says in errors which file and model are meant."""
    _check_names(name, "", Model, table)
    if "prices" in table:
        _check_names(name, "prices.", Prices, table["prices"])
    try:
        return msgspec.convert(table, Model)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {error}") from error


def _check_names(name: str, path: str, kind: type, table: object) -> None:
    known = [field.name for field in fields(kind)]
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            close = get_close_matches(key, known, n=1)
            advice = f", did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{name}: {path}{key} is no field of a model{advice}")
