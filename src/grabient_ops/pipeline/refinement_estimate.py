"""What refining would cost, before anything is sent."""

from collections.abc import Sequence

from grabient_ops.pipeline.bounds import most_input_tokens
from grabient_ops.pipeline.estimate import Estimate, Share, add_up, guess_usage
from grabient_ops.pipeline.prompting import current_content, current_prompt
from grabient_ops.pipeline.refinement import (
    RefinementPass,
    choose_seeds,
    refining,
    resolve_sources,
    what_is_shown,
)
from grabient_ops.pipeline.services import Services
from grabient_ops.store.costs import mean_usage
from grabient_ops.store.refinements import count_refined

_SAMPLE = 20
_ANSWER_TOKENS = 700
_THINKING_TOKENS = 1000


def estimate_refinements(services: Services, wanted: RefinementPass) -> Estimate:
    """Estimate a pass of refinements; what is refined already costs nothing."""
    model = wanted.model
    with services.store.read() as connection:
        sources = resolve_sources(connection, wanted.sources)
        seeds = choose_seeds(connection, sources, wanted.limit)
        version = current_prompt(connection, "refinement")
        prompt = current_content(connection, "refinement")
        key = {"prompt_version": version, "provider": model.provider, "model": model.id}
        done = count_refined(connection, key, seeds, wanted.runs)
        observed = mean_usage(connection, "refinement", key)
    shown = [len(text.encode()) for text in _sample(services, seeds, sources)] or [0]
    picture = (model.image_tokens or 0) if wanted.pictures else 0
    answer = _ANSWER_TOKENS + _THINKING_TOKENS * ("thinking" in refining(model).extra)
    guess = guess_usage(len(prompt) + sum(shown) / len(shown), answer, picture)
    most_input = most_input_tokens("refinement", prompt, max(shown)) + picture
    requests = len(seeds) * wanted.runs - done
    return add_up(services, [Share(refining(model), requests, observed or guess, most_input)])


def _sample(services: Services, seeds: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Write what the model would be told about the first palettes, which have most answers."""
    return what_is_shown(services, seeds[:_SAMPLE], sources) if seeds else []
