"""A batch's life as a function of the wall clock: it goes on while the sandbox is down."""

from dataclasses import dataclass
from enum import StrEnum

from grabient_ops.sandbox.state import Batch

ANSWERED, REJECTED, FAILED, MISSING = b"A", b"R", b"F", b"M"
"""The fate of a line, once its turn has come: answered and billed; refused as invalid; failed on
the provider's side; processed but in no result file (not billed)."""

_VALIDATED, _ANSWERED = 0.1, 0.9
_STUCK_SHARE, _EXPIRED_SHARE = 0.3, 0.6
_CANCEL_S = 0.2


class Stage(StrEnum):
    """Where a batch is, in our words; each provider has its own."""

    VALIDATING = "validating"
    RUNNING = "running"
    FINALIZING = "finalizing"
    CANCELING = "canceling"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self in _ENDS


_ENDS = frozenset({Stage.COMPLETED, Stage.FAILED, Stage.EXPIRED, Stage.CANCELED})


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a batch.

    Attributes:
        reached: lines whose turn has come; lines are worked off in input order.
        ended_at: unix time of the end; None before it.
    """

    stage: Stage
    reached: int
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How the lines of a batch stand."""

    answered: int
    rejected: int
    failed: int
    missing: int
    unreached: int


def progress(batch: Batch, now: float) -> Progress:
    """Say where the batch is at unix time `now`."""
    if batch.cancel_at is None:
        return _undisturbed(batch, now)
    before = _undisturbed(batch, batch.cancel_at)
    ended_at = batch.cancel_at + min(_CANCEL_S, batch.latency_s)
    if now < ended_at:
        return Progress(Stage.CANCELING, before.reached)
    return Progress(Stage.CANCELED, before.reached, ended_at)


def _undisturbed(batch: Batch, now: float) -> Progress:
    age = (now - batch.created_at) / max(batch.latency_s, 1e-9)
    share = min(max((age - _VALIDATED) / (_ANSWERED - _VALIDATED), 0.0), 1.0)
    if age < _VALIDATED:
        return Progress(Stage.VALIDATING, 0)
    if batch.problems:
        return Progress(Stage.FAILED, 0, batch.created_at + _VALIDATED * batch.latency_s)
    if "stuck" in batch.faults:
        return Progress(Stage.RUNNING, int(batch.total * min(share, _STUCK_SHARE)))
    expires = "expire" in batch.faults
    reached = int(batch.total * min(share, _EXPIRED_SHARE if expires else 1.0))
    if age < _ANSWERED:
        return Progress(Stage.RUNNING, reached)
    if age < 1:
        return Progress(Stage.FINALIZING, reached)
    end = Stage.EXPIRED if expires else Stage.COMPLETED
    return Progress(end, reached, batch.created_at + batch.latency_s)


def tally(batch: Batch, reached: int) -> Tally:
    """Count the lines by fate when the first `reached` of them have had their turn."""
    done = batch.fates[:reached]
    return Tally(
        answered=done.count(ANSWERED),
        rejected=done.count(REJECTED),
        failed=done.count(FAILED),
        missing=done.count(MISSING),
        unreached=batch.total - reached,
    )
