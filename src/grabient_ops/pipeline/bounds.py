"""The most that one request may cost: what a budget has to hold back before it is sent."""

from datetime import date, timedelta

import orjson
from sqlalchemy.engine import Connection

from grabient_ops.errors import ConfigError
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Catalog, Model, Prices
from grabient_ops.store.batches import Batch
from grabient_ops.store.prompts import get_prompt
from grabient_ops.store.requests import longest_input
from grabient_ops.tagging.prompts import answer_schema, refinement_schema
from grabient_ops.tagging.usage import Usage

TAGGING_MESSAGE_BYTES = 1000
"""No tagging message is longer: eleven colours in five notations; a test holds them to it."""
_OVERHEAD_TOKENS = 200
"""Roles, separators, and what a provider adds to have an answer in JSON."""
_ASCII_BYTES_PER_TOKEN = 2
"""Prose comes to four; half of that is no token too few."""
_IN_FLIGHT_FOR = timedelta(days=7)
"""Within this time after its submission a batch may still be answered, by whatever model."""


def bound_of_batch(services: Services, connection: Connection, batch: Batch) -> int | None:
    """Return the most that one request of a batch may cost, in pico-dollars.

    Returns:
        None when the catalog has no price for the model, or does not know it.
    """
    try:
        model = services.model_of(batch)
    except ConfigError:
        return None
    prompt = get_prompt(connection, batch.prompt_version)
    message = TAGGING_MESSAGE_BYTES
    if batch.kind == "refinement":
        message = longest_input(connection, batch.id)
    tokens = most_input_tokens(batch.kind, prompt.content if prompt else "", message)
    if (batch.options or {}).get("pictures"):
        tokens += model.image_tokens or 0
    return request_bound(services.catalog, model, tokens, services.now().date())


def most_input_tokens(kind: str, prompt: str, message_bytes: int) -> int:
    """Return how many tokens a request can have at most, its picture aside.

    A byte of the message, and of anything beyond ASCII, may be a token of its own; the prompt and
    the schema are ours, and prose.
    """
    schema = refinement_schema() if kind == "refinement" else answer_schema()
    fixed = prompt.encode() + orjson.dumps(schema)
    beyond_ascii = sum(byte > 127 for byte in fixed)
    prose = (len(fixed) - beyond_ascii) // _ASCII_BYTES_PER_TOKEN
    return message_bytes + beyond_ascii + prose + _OVERHEAD_TOKENS


def request_bound(catalog: Catalog, model: Model, input_tokens: int, today: date) -> int | None:
    """Return what a request costs at most, in pico-dollars; None without a price.

    Nothing of it comes from a cache, and the answer is as long as it may be. A model that retires
    while its batch is in flight may be answered for, and billed, as its neighbour.
    """
    candidates = [model.prices]
    if model.neighbour and model.retires_on and model.retires_on < today + _IN_FLIGHT_FOR:
        candidates.append(catalog.prices(model.provider, model.neighbour, None))
    known = [prices for prices in candidates if prices is not None]
    if model.prices is None:
        return None
    usage = Usage(input_tokens, model.max_output_tokens)
    return max(_dearest(prices, usage) for prices in known)


def _dearest(prices: Prices, usage: Usage) -> int:
    """Where caching costs more than reading afresh, everything may have come from the cache."""
    cached = Usage(usage.input_tokens, usage.output_tokens, usage.input_tokens)
    return max(prices.batch_cost(usage), prices.batch_cost(cached))
