"""What a pass would ask and cost, before anything is sent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from grabient_ops.pipeline.bounds import TAGGING_MESSAGE_BYTES, most_input_tokens, request_bound
from grabient_ops.pipeline.limits import PICO
from grabient_ops.pipeline.prompting import current_content, current_prompt
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Model
from grabient_ops.store.costs import MeanUsage, mean_usage
from grabient_ops.store.palettes import count_palettes, first_seeds
from grabient_ops.store.responses import count_successes
from grabient_ops.tagging.message import user_messages
from grabient_ops.tagging.usage import Usage

_CHARACTERS_PER_TOKEN = 3.2
"""Prompts of digits and hex codes cut shorter than prose; measured on the stored model outputs."""
_ANSWER_TOKENS = 280
_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """A pass in numbers; amounts in USD, None when a price is unknown.

    Attributes:
        requests: what is still unanswered, first attempts only.
        input_tokens, output_tokens: expected.
        batch_usd: expected cost.
        standard_usd: the same without batches.
        most_usd: upper bound: every answer as long as it may be.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    batch_usd: float | None
    standard_usd: float | None
    most_usd: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--dry-run --json` prints."""
        saved = None
        if self.batch_usd is not None and self.standard_usd is not None:
            saved = self.standard_usd - self.batch_usd
        return {**asdict(self), "saved_usd": saved}


class Share(NamedTuple):
    """One model's part of a pass.

    Attributes:
        requests: how many it is to be asked.
        expected: tokens of a usual request.
        most_input: most input tokens that one can have.
    """

    model: Model
    requests: int
    expected: MeanUsage
    most_input: int

    @property
    def usage(self) -> Usage:
        """Tokens of all requests."""
        tokens = (round(self.requests * mean) for mean in self.expected)
        input_tokens, output_tokens, cached_tokens = tokens
        return Usage(input_tokens, output_tokens, cached_tokens)


def estimate_runs(
    services: Services, models: Sequence[Model], runs: int, limit: int | None
) -> Estimate:
    """Estimate a pass over the stored palettes; what is answered already costs nothing."""
    with services.store.read() as connection:
        stored = count_palettes(connection)
        palettes = stored if limit is None else min(stored, limit)
        seeds = first_seeds(connection, min(palettes, _SAMPLE))
        version = current_prompt(connection)
        prompt = current_content(connection)
        sample = user_messages(seeds)
        message = sum(map(len, sample)) / max(1, len(sample))
        guess = guess_usage(len(prompt) + message, _ANSWER_TOKENS)
        most_input = most_input_tokens("tagging", prompt, TAGGING_MESSAGE_BYTES)
        shares = []
        for model in models:
            key = {"prompt_version": version, "provider": model.provider, "model": model.id}
            unanswered = palettes * runs - count_successes(connection, key, runs, limit)
            expected = mean_usage(connection, "tagging", key) or guess
            shares.append(Share(model, unanswered, expected, most_input))
    return add_up(services, shares)


def guess_usage(characters: float, output_tokens: float, more_input: int = 0) -> MeanUsage:
    """Return the tokens of a usual request, where none has been observed.

    Args:
        characters: length of its texts.
        output_tokens: of its answer.
        more_input: tokens that are no text.
    """
    return MeanUsage(characters / _CHARACTERS_PER_TOKEN + more_input, output_tokens, 0)


def add_up(services: Services, shares: Sequence[Share]) -> Estimate:
    """Add up the shares of all models."""
    catalog, today = services.catalog, services.now().date()
    batch = standard = most = 0
    is_known = True
    for share in shares:
        bound = request_bound(catalog, share.model, share.most_input, today)
        if share.model.prices is None or bound is None:
            is_known = False
            continue
        batch += share.model.prices.batch_cost(share.usage)
        standard += share.model.prices.standard_cost(share.usage)
        most += share.requests * bound
    return Estimate(
        requests=sum(share.requests for share in shares),
        input_tokens=sum(share.usage.input_tokens for share in shares),
        output_tokens=sum(share.usage.output_tokens for share in shares),
        batch_usd=batch / PICO if is_known else None,
        standard_usd=standard / PICO if is_known else None,
        most_usd=most / PICO if is_known else None,
    )
