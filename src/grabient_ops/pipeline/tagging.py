"""Asks for tagging passes: which prompt, which models, which palettes, how many runs."""

from collections.abc import Sequence

from grabient_ops.errors import InputError
from grabient_ops.pipeline.adaptive import start_adapting, stop_adapting
from grabient_ops.pipeline.prompting import current_prompt, register_builtin
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Model
from grabient_ops.store.palettes import count_palettes
from grabient_ops.store.targets import raise_targets


def request_runs(
    services: Services,
    models: Sequence[Model],
    runs: int,
    limit: int | None,
    *,
    flips: float | None = None,
) -> str:
    """Ask for every palette to be tagged so often by each model; return the prompt version.

    Nothing is sent here: the worker plans and submits. Asking twice for the same changes nothing.

    Args:
        services: the parts.
        models: who is asked.
        runs: at least 1.
        limit: only so many palettes, oldest first; None for all.
        flips: leave a palette out of further runs once another one is expected to flip fewer tags
            than this; None for all runs of every palette.

    Raises:
        InputError: there are no palettes.
    """
    register_builtin(services)
    with services.store.write() as connection:
        if not count_palettes(connection):
            raise InputError("no palettes yet; `grabient-ops palettes import FILE` brings some")
        version = current_prompt(connection)
        pairs = [(model.provider, model.id) for model in models]
        raise_targets(connection, version, pairs, runs, limit, services.now())
        if flips is None:
            stop_adapting(connection, version, pairs, runs, limit)
        else:
            start_adapting(connection, version, pairs, flips)
    return version
