"""How far everything is, in the shape that `status --json` promises."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from grabient_ops.pipeline.prompting import current_prompt
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Catalog
from grabient_ops.store.palettes import count_palettes
from grabient_ops.store.progress import (
    Progress,
    Tokens,
    count_batches,
    measure_progress,
    sum_tokens,
)
from grabient_ops.store.refinements import RefinementProgress, measure_refinement
from grabient_ops.store.settled import count_saved
from grabient_ops.store.targets import list_pending
from grabient_ops.tagging.usage import Usage


class Cost(NamedTuple):
    """What answers cost through the batch APIs, and what they would have cost without."""

    batch_usd: float
    standard_usd: float


def read_status(services: Services) -> dict[str, Any]:
    """Return the status document; the shape is a contract (docs/cli.md)."""
    with services.store.read() as connection:
        version = current_prompt(connection)
        progress = measure_progress(connection, version, services.policy.max_attempts)
        tokens = sum_tokens(connection, version).values()
        return {
            "palettes": count_palettes(connection),
            "prompt_version": version,
            "target_runs": max((item.run_number for item in progress), default=0),
            "current_run": current_run(progress),
            "runs": sum_runs(progress),
            "models": describe_models(progress, list(chain(*tokens)), services.catalog),
            "saved_requests": count_saved(connection, version),
            "batches": count_batches(connection),
            "refinement": current_refinement(connection, services)._asdict(),
        }


def current_refinement(connection: Connection, services: Services) -> RefinementProgress:
    """Return how far refinement is with what the current prompt version has tagged."""
    version = current_prompt(connection)
    return measure_refinement(connection, version, services.policy.refinement_attempts)


def is_all_answered(services: Services) -> bool:
    """Whether nothing that was asked for, tagging or refinement, waits for an answer."""
    with services.store.read() as connection:
        return not any(list_pending(connection, services.policy.attempts_of))


def cost_of(tokens: Iterable[Tokens], catalog: Catalog) -> Cost | None:
    """Return what the tokens cost in USD; None when some model's price is unknown.

    The model that answered decides, where its price is known: providers route retired models to
    others and bill those.
    """
    batch_usd = standard_usd = 0.0
    for item in tokens:
        prices = catalog.prices(item.provider, item.model, item.model_returned)
        if prices is None:
            return None
        usage = Usage(*item[3:])
        batch_usd += prices.batch_usd(usage)
        standard_usd += prices.standard_usd(usage)
    return Cost(batch_usd, standard_usd)


def current_run(progress: Sequence[Progress]) -> int:
    """Return the lowest run with something pending; the last when all is done; 0 without any."""
    pending = [item.run_number for item in progress if item.pending]
    return min(pending, default=max((item.run_number for item in progress), default=0))


def sum_runs(progress: Sequence[Progress]) -> list[dict[str, int]]:
    """Return the progress of every run, over all models."""
    runs = sorted({item.run_number for item in progress})
    return [
        {"run_number": run, **_sums([item for item in progress if item.run_number == run])}
        for run in runs
    ]


def _sums(progress: Sequence[Progress]) -> dict[str, int]:
    return {
        "expected": sum(item.expected for item in progress),
        "succeeded": sum(item.succeeded for item in progress),
        "failed": sum(item.failed for item in progress),
        "pending": sum(item.pending for item in progress),
    }


def describe_models(
    progress: Sequence[Progress], tokens: Sequence[Tokens], catalog: Catalog
) -> list[dict[str, Any]]:
    """Return the progress of every model over all runs, what it has used and what that costs."""
    names = sorted({item[:2] for item in progress} | {item[:2] for item in tokens})
    rows = []
    for provider, model in names:
        spent = [item for item in tokens if (item.provider, item.model) == (provider, model)]
        cost = cost_of(spent, catalog)
        mine = [item for item in progress if (item.provider, item.model) == (provider, model)]
        rows.append(
            {
                "provider": provider,
                "model": model,
                **_sums(mine),
                "input_tokens": sum(item.input_tokens for item in spent),
                "output_tokens": sum(item.output_tokens for item in spent),
                "cost_usd": None if cost is None else round(cost.batch_usd, 8),
            }
        )
    return rows
