"""What a pass would ask and cost, before anything is sent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.tagging import current_prompt
from grabient_ops.providers.catalog import Model
from grabient_ops.store.palettes import count_palettes, first_seeds
from grabient_ops.store.prompts import get_prompt
from grabient_ops.store.responses import count_successes
from grabient_ops.tagging.message import user_messages
from grabient_ops.tagging.prompts import tagging_prompt
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
        """Return the document that `tag --dry-run --json` prints."""
        saved = None
        if self.batch_usd is not None and self.standard_usd is not None:
            saved = self.standard_usd - self.batch_usd
        return {**asdict(self), "saved_usd": saved}


def estimate_runs(
    services: Services, models: Sequence[Model], runs: int, limit: int | None
) -> Estimate:
    """Estimate a pass over the stored palettes; what is answered already costs nothing."""
    with services.store.read() as connection:
        stored = count_palettes(connection)
        palettes = stored if limit is None else min(stored, limit)
        seeds = first_seeds(connection, min(palettes, _SAMPLE))
        version = current_prompt(connection)
        registered = get_prompt(connection, version)
        prompt = registered.content if registered else tagging_prompt().content
        open_counts = [
            palettes * runs - count_successes(connection, _key(version, model), runs, limit)
            for model in models
        ]
    sample = user_messages(seeds)
    message = sum(map(len, sample)) / max(1, len(sample))
    per_request = round((len(prompt) + message) / _CHARACTERS_PER_TOKEN)
    return _add_up(models, open_counts, per_request)


def _add_up(models: Sequence[Model], counts: Sequence[int], input_tokens: int) -> Estimate:
    batch_usd = standard_usd = most_usd = 0.0
    known = True
    for model, count in zip(models, counts, strict=True):
        if model.prices is None:
            known = False
            continue
        expected = Usage(input_tokens, _ANSWER_TOKENS)
        batch_usd += count * model.prices.batch_usd(expected)
        standard_usd += count * model.prices.standard_usd(expected)
        most = Usage(round(input_tokens * 1.5), model.max_output_tokens)
        most_usd += count * model.prices.batch_usd(most)
    requests = sum(counts)
    return Estimate(
        requests=requests,
        input_tokens=requests * input_tokens,
        output_tokens=requests * _ANSWER_TOKENS,
        batch_usd=batch_usd if known else None,
        standard_usd=standard_usd if known else None,
        most_usd=most_usd if known else None,
    )


def _key(version: str, model: Model) -> dict[str, str]:
    return {"prompt_version": version, "provider": model.provider, "model": model.id}
