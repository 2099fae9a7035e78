"""Plans runs: what is to be asked next, reserved in batches that respect every limit."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from sqlalchemy.engine import Connection

from grabient_ops.errors import ConfigError, RateLimitedError
from grabient_ops.pipeline.adaptive import settle_run
from grabient_ops.pipeline.payload import wire_parameters
from grabient_ops.pipeline.refinement import reserve_refinements
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.catalog import Model
from grabient_ops.store.batches import (
    QUEUE_FULL,
    Ending,
    list_endings,
    list_stopped,
    open_requests_of_model,
    reserve_batch,
)
from grabient_ops.store.prompts import get_prompt
from grabient_ops.store.requests import count_open_requests
from grabient_ops.store.targets import (
    ModelTarget,
    list_model_targets,
    list_pending,
    list_unanswered,
    run_is_pending,
)
from grabient_ops.tagging.outcome import ErrorClass

_LONGEST_REST_S = 900.0
_REST_PER_WORK = 100
_LONGEST_SILENCE_S = 60.0
_BYTES_PER_TOKEN = 4
_FUTILE_ROUNDS = 3
_TOO_MUCH = frozenset({QUEUE_FULL, RateLimitedError.__name__})
"""Failures of a submission that a smaller batch may not meet (Gemini says 429 to a full queue)."""


class _Message(NamedTuple):
    """What a request holds beside the prompt: bytes of the longest line, tokens of a usual one."""

    most_bytes: int
    tokens: int


_MESSAGES = {"tagging": _Message(3000, 500), "refinement": _Message(32_000, 3000)}


class Block(NamedTuple):
    """Why nothing is planned for a model at the moment.

    Attributes:
        reason: one sentence.
        until: when it is tried again; None when only the operator can help.
        is_futile: waiting any longer in the foreground makes no sense.
    """

    reason: str
    until: datetime | None
    is_futile: bool


@dataclass
class Plan:
    """What one look at the targets led to.

    Attributes:
        reserved: ids of new batches.
        blocked: models that have work but get none now.
        pending: models that still have something unanswered, blocked ones included.
    """

    reserved: list[str] = field(default_factory=list)
    blocked: dict[tuple[str, str], Block] = field(default_factory=dict)
    pending: set[tuple[str, str]] = field(default_factory=set)


class Planner:
    """Decides what to ask next; the only writer of reservations."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._started_at = services.now()
        self._finished: set[tuple[ModelTarget, int]] = set()
        self._judged: set[tuple[str, int]] = set()
        self._stopped: Mapping[tuple[str, str, str], str] = {}
        self._last = Plan()
        self._again_at = 0.0

    def forget(self) -> None:
        """Forget which runs are finished: targets, palettes or failures were changed by hand."""
        self._finished.clear()
        self._judged.clear()

    def plan(self) -> Plan:
        """Reserve all that may be asked now, run by run; several prompt versions at once."""
        began = time.monotonic()
        plan = self._last = Plan()
        with self._services.store.read() as connection:
            targets = list_model_targets(connection)
            self._stopped = list_stopped(connection)
        for version in sorted({target.prompt_version for target in targets}):
            self._plan_version(plan, [t for t in targets if t.prompt_version == version])
        ended = time.monotonic()
        self._again_at = ended + min((ended - began) * _REST_PER_WORK, _LONGEST_SILENCE_S)
        return plan

    def plan_for_safety(self) -> Plan:
        """Plan although nothing was announced that could make something due; not too often.

        A look takes the longer the more palettes there are: all of them may take a hundredth of
        the time.
        """
        now = self._services.now()
        has_rested = any(
            block.until and block.until <= now for block in self._last.blocked.values()
        )
        is_due = has_rested or time.monotonic() >= self._again_at
        return self.plan() if is_due else self._last

    def survey(self) -> list[tuple[tuple[str, str], Block | None]]:
        """Return what is blocked, and what is not, of all that is pending; reserve nothing.

        A rest comes before every other reason. Keys may be ours to lack and the leader's to have:
        then the model goes on when it has rested.
        """
        with self._services.store.read() as connection:
            pending = list(list_pending(connection, self._services.policy.attempts_of))
            self._stopped = list_stopped(connection)
        now = self._services.now()
        return [
            ((t.provider, t.model), self._rest(self._endings(t), now) or self._block(t))
            for t in pending
        ]

    def _plan_version(self, plan: Plan, targets: Sequence[ModelTarget]) -> None:
        """The next run starts when no model that can work has anything left in this one."""
        barred: set[ModelTarget] = set()
        for run_number in range(1, max(target.target_runs for target in targets) + 1):
            self._judge(targets[0].prompt_version, run_number - 1)
            pending = [t for t in targets if t not in barred and self._is_pending(t, run_number)]
            for target in pending:
                block = self._block(target)
                plan.pending.add((target.provider, target.model))
                if block is None:
                    plan.reserved += self._reserve(target, run_number)
                    continue
                plan.blocked[target.provider, target.model] = block
                if block.is_futile:
                    barred.add(target)
            if not barred.issuperset(pending):
                return

    def _judge(self, prompt_version: str, run_number: int) -> None:
        """Settle palettes after a run, before anything of the next one is asked."""
        if run_number and (prompt_version, run_number) not in self._judged:
            settle_run(self._services, prompt_version, run_number)
            self._judged.add((prompt_version, run_number))

    def _is_pending(self, target: ModelTarget, run_number: int) -> bool:
        if run_number > target.target_runs or (target, run_number) in self._finished:
            return False
        with self._services.store.read() as connection:
            attempts = self._services.policy.attempts_of(target.kind)
            pending = run_is_pending(connection, target, run_number, attempts)
        if not pending:
            self._finished.add((target, run_number))
        return pending

    def _block(self, target: ModelTarget) -> Block | None:
        services = self._services
        if target[:3] in self._stopped:
            reason = f"a batch stopped ({self._stopped[target[:3]]})"
            return Block(reason, None, is_futile=True)
        try:
            model = services.catalog.get(target.provider, target.model)
        except ConfigError as error:
            return Block(str(error), None, is_futile=True)
        variable = services.missing_key(model.provider)
        if variable is not None:
            return Block(f"{variable} is not set", None, is_futile=True)
        if model.status(services.now().date()) == "retired":
            return Block(f"the model retired on {model.retires_on}", None, is_futile=True)
        return self._rest(self._endings(target), services.now())

    def _endings(self, target: ModelTarget) -> list[Ending]:
        with self._services.store.read() as connection:
            return self._list_endings(connection, target)

    def _list_endings(self, connection: Connection, target: ModelTarget) -> list[Ending]:
        """Since the start; what lies ahead or seems older than it is was stamped by another clock.

        Where the time of day was set back, a failure of the future would have the model rest till
        then, and one of now would not be seen.
        """
        now = self._services.now()
        self._started_at = min(self._started_at, now)
        return list_endings(connection, target.provider, target.model, self._started_at, now)

    def _rest(self, endings: Sequence[Ending], now: datetime) -> Block | None:
        """After failed submissions a model rests: `retry_s`, doubled with each further one."""
        failures = list(takewhile(_was_not_accepted, endings))
        if not failures:
            return None
        last = failures[0]
        rounds = _count_rounds(failures)
        pause_s = min(self._services.policy.retry_s * 2 ** (rounds - 1), _LONGEST_REST_S)
        until = last.ended_at + timedelta(seconds=pause_s)
        if now >= until:
            return None
        can_shrink = last.error_class in _TOO_MUCH and last.request_count > 1
        futile = rounds >= _FUTILE_ROUNDS and not can_shrink
        return Block(last.error or "the submission failed", until, is_futile=futile)

    def _reserve(self, target: ModelTarget, run_number: int) -> list[str]:
        """Reserve batches until nothing is left to ask, or the provider's queue is full."""
        reserved: list[str] = []
        while batch_id := self._reserve_one(target, run_number):
            reserved.append(batch_id)
        return reserved

    def _reserve_one(self, target: ModelTarget, run_number: int) -> str | None:
        services = self._services
        model = services.catalog.get(target.provider, target.model)
        if target.kind == "refinement":
            with services.store.read() as connection:
                room = self._room(connection, target, model)
            return reserve_refinements(services, target, run_number, room)
        with services.store.write() as connection:
            limit = self._room(connection, target, model)
            attempts = services.policy.max_attempts
            asked = list_unanswered(connection, target, run_number, attempts, limit)
            if count_open_requests(connection, target, run_number):
                # Failed requests are asked again together, when the others have been answered.
                asked = [palette for palette in asked if palette.attempt == 1]
            if not asked:
                return None
            parameters = wire_parameters(model)
            return reserve_batch(connection, target, run_number, asked, parameters, services.now())

    def _room(self, connection: Connection, target: ModelTarget, model: Model) -> int:
        """Return how many requests the next batch of a model may hold; 0 to wait."""
        prompt = get_prompt(connection, target.prompt_version)
        prompt_bytes = len(prompt.content.encode()) if prompt else 0
        message = _MESSAGES[target.kind]
        room = min(model.batch_requests, model.batch_bytes // (prompt_bytes + message.most_bytes))
        waiting = open_requests_of_model(connection, target.provider, target.model)
        if model.queue_tokens is not None:
            tokens = prompt_bytes // _BYTES_PER_TOKEN + message.tokens
            room = min(room, model.queue_tokens // tokens - waiting)
        endings = self._list_endings(connection, target)
        refused = [e.request_count for e in endings if e.error_class in _TOO_MUCH]
        if refused:
            # The provider's queue is smaller than we knew: half of what it refused, one at a time.
            room = 0 if waiting else min(room, min(refused) // 2)
        # A request past a limit of ours goes alone: the provider's word on it is better than ours.
        return max(room, 0 if waiting else 1)


def _count_rounds(failures: Sequence[Ending]) -> int:
    """Count how often we have tried: what was in flight together failed together."""
    rounds = 0
    began: datetime | None = None
    for failure in failures:
        if began is None or failure.ended_at < began:
            rounds += 1
            began = failure.created_at
    return rounds


def _was_not_accepted(ending: Ending) -> bool:
    return ending.error_class not in {None, str(ErrorClass.INVALID_REQUEST)}
