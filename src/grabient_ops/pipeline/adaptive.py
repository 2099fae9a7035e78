"""Adaptive passes: palettes whose consensus would hardly move are left out of the runs to come."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy.engine import Connection

from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.flips import expected_flips
from grabient_ops.pipeline.refinement import chain_refinement
from grabient_ops.pipeline.services import Services
from grabient_ops.store.notes import drop_note, get_note, set_note
from grabient_ops.store.settled import list_unsettled, settle, unsettle

log = structlog.get_logger(__name__)

USUAL_FLIPS = 0.5
"""Expected tag flips by another run below which a palette is settled; see docs/adaptive.md."""


class Rule(NamedTuple):
    """How a prompt version's palettes are settled.

    Attributes:
        flips: a palette is settled when fewer tags than this are expected to flip.
        models: (provider, model) pairs that settle together; others go on to their last run.
    """

    flips: float
    models: Sequence[tuple[str, str]]


def read_rule(connection: Connection, prompt_version: str) -> Rule | None:
    """Return the rule of a prompt version; None when its passes are not adaptive."""
    note = get_note(connection, _key(prompt_version))
    if note is None:
        return None
    flips, models = json.loads(note)
    return Rule(flips, [(provider, model) for provider, model in models])


def start_adapting(
    connection: Connection, prompt_version: str, models: Sequence[tuple[str, str]], flips: float
) -> None:
    """Have models settle palettes from now on; the same again changes nothing.

    Another threshold opens what was settled by the old one, to be judged anew.
    """
    before = read_rule(connection, prompt_version) or Rule(flips, ())
    everyone = list(dict.fromkeys([*before.models, *models]))
    if before.flips != flips:
        unsettle(connection, prompt_version, before.models)
    _write_rule(connection, prompt_version, Rule(flips, everyone))


def stop_adapting(
    connection: Connection,
    prompt_version: str,
    models: Sequence[tuple[str, str]],
    runs: int,
    limit: int | None,
) -> None:
    """Have models go on to the last run of every palette, as a pass that is not adaptive does.

    Args:
        connection: an open transaction.
        prompt_version: whose targets.
        models: (provider, model) pairs.
        runs: what was settled after fewer runs is opened again for so many.
        limit: only so many palettes, oldest first; None for all.
    """
    unsettle(connection, prompt_version, models, runs, limit)
    before = read_rule(connection, prompt_version)
    if before is not None:
        rest = [pair for pair in before.models if pair not in models]
        _write_rule(connection, prompt_version, before._replace(models=rest))


def settle_run(services: Services, prompt_version: str, run_number: int) -> None:
    """Judge the palettes after a run that has ended, in one transaction; safe to repeat.

    A palette is judged as long as nothing of its next run is asked: so a crash loses no decision
    and changes none.

    Raises:
        StoreError: the warehouse cannot be brought up to date.
    """
    with services.store.read() as connection:
        rule = read_rule(connection, prompt_version)
        if rule is None:
            return
        seeds = list_unsettled(connection, prompt_version, rule.models, run_number)
    if not seeds:
        return
    with services.warehouse() as warehouse:
        flips = expected_flips(warehouse, len(rule.models), Selection(prompts=[prompt_version]))
    settled = [seed for seed in seeds if flips.get(seed, rule.flips) < rule.flips]
    if not settled:
        return
    with services.store.write() as connection:
        if read_rule(connection, prompt_version) != rule:
            return  # an operator has asked for something else meanwhile
        settle(connection, prompt_version, rule.models, settled, run_number, services.now())
        # When nothing is left to ask, no batch will end that could say so.
        chain_refinement(connection, services, services.refine_after, prompt_version)
    log.info("settled", prompt=prompt_version, run=run_number, palettes=len(settled))


def _key(prompt_version: str) -> str:
    return f"adaptive:{prompt_version}"


def _write_rule(connection: Connection, prompt_version: str, rule: Rule) -> None:
    if rule.models:
        set_note(connection, _key(prompt_version), json.dumps(rule))
    else:
        drop_note(connection, _key(prompt_version))
