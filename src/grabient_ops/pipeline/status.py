"""How far everything is, in the shape that `status --json` promises."""

from collections.abc import Iterable, Sequence
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
from grabient_ops.store.refinements import measure_refinement
from grabient_ops.store.settled import count_saved
from grabient_ops.store.targets import list_model_targets, run_is_pending
from grabient_ops.tagging.usage import Usage


class Cost(NamedTuple):
    """What answers cost through the batch APIs, and what they would have cost without."""

    batch_usd: float
    standard_usd: float


def read_status(services: Services) -> dict[str, Any]:
    """Return the status document; the shape is a contract (docs/cli.md)."""
    with services.store.read() as connection:
        return measure_status(connection, services, current_progress(connection, services))


def current_progress(connection: Connection, services: Services) -> list[Progress]:
    """Return how far every model and run is under the current prompt version."""
    version = current_prompt(connection)
    return measure_progress(connection, version, services.policy.max_attempts)


def measure_status(
    connection: Connection, services: Services, progress: Sequence[Progress]
) -> dict[str, Any]:
    """Return the status document as one snapshot has it, whose progress is known."""
    version = current_prompt(connection)
    tokens = sum_tokens(connection, version)
    return {
        "palettes": count_palettes(connection),
        "prompt_version": version,
        "target_runs": max((item.run_number for item in progress), default=0),
        "current_run": _current_run(progress),
        "runs": [_run(number, progress) for number in sorted({p.run_number for p in progress})],
        "models": _models(progress, tokens, services.catalog),
        "saved_requests": count_saved(connection, version),
        "batches": count_batches(connection),
        "refinement": measure_refinement(
            connection, version, services.policy.refinement_attempts
        )._asdict(),
    }


def is_all_answered(services: Services) -> bool:
    """Whether nothing that was asked for, tagging or refinement, waits for an answer."""
    with services.store.read() as connection:
        return not any(
            run_is_pending(connection, target, run, services.policy.attempts_of(target.kind))
            for target in list_model_targets(connection)
            for run in range(1, target.target_runs + 1)
        )


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


def _current_run(progress: Sequence[Progress]) -> int:
    """The lowest run with something pending; the last one when all is done; 0 without targets."""
    pending = [item.run_number for item in progress if item.pending]
    return min(pending, default=max((item.run_number for item in progress), default=0))


def _run(number: int, progress: Sequence[Progress]) -> dict[str, int]:
    return {"run_number": number, **_sums([p for p in progress if p.run_number == number])}


def _sums(progress: Sequence[Progress]) -> dict[str, int]:
    return {
        "expected": sum(item.expected for item in progress),
        "succeeded": sum(item.succeeded for item in progress),
        "failed": sum(item.failed for item in progress),
        "pending": sum(item.pending for item in progress),
    }


def _models(
    progress: Sequence[Progress], tokens: Sequence[Tokens], catalog: Catalog
) -> list[dict[str, Any]]:
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
