"""Asks for refinements: which palettes, by which model, from the answers to which prompts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy.engine import Connection

from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.summaries import Summary, summarise
from grabient_ops.errors import InputError
from grabient_ops.pipeline.passes import follow_on
from grabient_ops.pipeline.payload import wire_parameters
from grabient_ops.pipeline.prompting import builtin_prompt, current_prompt, register
from grabient_ops.pipeline.services import RefinementChoice, Services
from grabient_ops.providers.catalog import Model, PictureForm
from grabient_ops.store.batches import has_open_batch, reserve_batch
from grabient_ops.store.prompts import get_prompt
from grabient_ops.store.requests import count_open_requests
from grabient_ops.store.targets import (
    ModelTarget,
    Unanswered,
    count_responses,
    list_model_targets,
    list_unanswered,
    raise_refinement_targets,
    run_is_pending,
)
from grabient_ops.tagging.message import user_messages
from grabient_ops.tagging.summary import Vote, write_summary

_ANSWER_TOKENS = 4096
_TEMPERATURE = 0.3


class RefinementPass(NamedTuple):
    """What an operator asks for.

    Attributes:
        model: what refines.
        sources: prompt versions whose answers are summed up; none means the current one.
        limit: only so many palettes, those with most answers first; None for all.
        runs: how often each palette is refined.
        pictures: how the model gets to see the palette; None when it does not.
    """

    model: Model
    sources: Sequence[str] = ()
    limit: int | None = None
    runs: int = 1
    pictures: PictureForm | None = "inline"


def refining(model: Model) -> Model:
    """Return a model with the parameters that it refines with.

    They are the catalog's, where it has some for this work; else what fits judging instead of
    inventing: a low temperature and room for a long answer.
    """
    temperature = model.temperature and min(model.temperature, _TEMPERATURE)
    most = max(model.max_output_tokens, _ANSWER_TOKENS)
    usual = replace(model, temperature=temperature, max_output_tokens=most)
    return replace(usual, **model.refinement)


def request_refinements(services: Services, wanted: RefinementPass) -> int:
    """Ask for palettes to be refined; return how many palettes that are.

    Nothing is sent here: the worker plans and submits. Asking twice for the same changes nothing.

    Raises:
        InputError: no palette has an answer under the sources, or a source is unknown.
    """
    with services.store.write() as connection:
        sources = resolve_sources(connection, wanted.sources)
        seeds = choose_seeds(connection, sources, wanted.limit)
        if not seeds:
            message = f"no palette has an answer to prompt {', '.join(sources)}"
            raise InputError(f"{message}; `grabient-ops tag` asks for some")
        _raise(connection, services, wanted, sources, seeds)
    return len(seeds)


def resolve_sources(connection: Connection, words: Sequence[str]) -> list[str]:
    """Return the tagging prompt versions that words mean, sorted; the current one for none.

    Raises:
        InputError: a word is no version, or the beginning of several.
    """
    if not words:
        return [current_prompt(connection)]
    found = [(word, get_prompt(connection, word)) for word in words]
    for word, prompt in found:
        if prompt is None or prompt.kind != "tagging":
            raise InputError(f"no tagging prompt version begins with {word!r}, or several do")
    return sorted({prompt.version for _, prompt in found if prompt})


def choose_seeds(connection: Connection, sources: Sequence[str], limit: int | None) -> list[str]:
    """Return the palettes that have answers, those with most first."""
    counts = count_responses(connection, sources)
    return sorted(counts, key=lambda seed: (-counts[seed], seed))[:limit]


def _raise(
    connection: Connection,
    services: Services,
    wanted: RefinementPass,
    sources: Sequence[str],
    seeds: Sequence[str],
) -> None:
    register(connection, services, builtin_prompt("refinement"))
    version = current_prompt(connection, "refinement")
    model = wanted.model
    target = ModelTarget(version, model.provider, model.id, wanted.runs, "refinement")
    options = {"sources": list(sources), "pictures": wanted.pictures}
    raise_refinement_targets(connection, target, seeds, options, services.now())


def chain_refinement(
    connection: Connection,
    services: Services,
    choice: RefinementChoice | None,
    prompt_version: str,
) -> None:
    """Ask for the refinement of what is tagged, once every run of a prompt version is complete.

    Call it in the transaction that closes a batch. Doing it again asks for nothing more.
    """
    if choice is None or has_open_batch(connection, prompt_version):
        return
    targets = [
        target
        for target in list_model_targets(connection)
        if (target.prompt_version, target.kind) == (prompt_version, "tagging")
    ]
    if not targets:  # The batch was one of refinements.
        return
    attempts = services.policy.attempts_of("tagging")
    for run_number in range(max(target.target_runs for target in targets), 0, -1):
        if any(run_is_pending(connection, target, run_number, attempts) for target in targets):
            return
    seeds = choose_seeds(connection, [prompt_version], None)
    wanted = RefinementPass(choice.model, pictures=choice.pictures)
    refinement = current_prompt(connection, "refinement")
    follow_on(connection, prompt_version, refinement, services.now())
    _raise(connection, services, wanted, [prompt_version], seeds)


def reserve_refinements(
    services: Services, target: ModelTarget, run_number: int, room: int
) -> str | None:
    """Reserve the next batch of refinements, with what the model will be shown.

    Args:
        services: the parts.
        target: a refinement prompt version and a model.
        run_number: from 1.
        room: most requests that the batch may hold.

    Returns:
        The batch id; None when there is nothing to ask now.
    """
    with services.store.read() as connection:
        asked = _askable(connection, services, target, run_number)
        if not asked or room <= 0:
            return None
        options = asked[0].options or {}
        counts = count_responses(connection, options["sources"])
    same = [palette for palette in asked if palette.options == options]
    same.sort(key=lambda palette: (palette.attempt, -counts.get(palette.seed, 0), palette.seed))
    chunk = same[:room]
    seeds = [palette.seed for palette in chunk]
    parameters = wire_parameters(refining(services.catalog.get(*target[1:3])))
    inputs = what_is_shown(services, seeds, options["sources"])
    if options["pictures"] == "url":
        services.publish_pictures(seeds)
    with services.store.write() as connection:
        now = services.now()
        return reserve_batch(connection, target, run_number, chunk, parameters, now, inputs=inputs)


def _askable(
    connection: Connection, services: Services, target: ModelTarget, run_number: int
) -> list[Unanswered]:
    attempts = services.policy.attempts_of(target.kind)
    asked = list_unanswered(connection, target, run_number, attempts, None)
    if count_open_requests(connection, target, run_number):
        # Failed requests are asked again together, when the others have been answered.
        return [palette for palette in asked if palette.attempt == 1]
    return asked


def what_is_shown(services: Services, seeds: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Write what a model is told about each palette: its colours and what the models said."""
    with services.warehouse() as warehouse:
        summaries = summarise(warehouse, seeds, Selection(prompts=sources))
    nothing = Summary(0, 0, [])
    messages = user_messages(seeds)
    texts = []
    for seed, message in zip(seeds, messages, strict=True):
        summary = summaries.get(seed, nothing)
        votes = [Vote(*vote) for vote in summary.votes]
        texts.append(write_summary(message, votes, summary.responses, summary.models))
    return texts
