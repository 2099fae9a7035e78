"""The sandbox behind the four wires: accepts batches, finds them again, and keeps the books."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from grabient_ops.sandbox.faults import Faults
from grabient_ops.sandbox.http import ApiError, DroppedError
from grabient_ops.sandbox.intake import Survey
from grabient_ops.sandbox.lifecycle import (
    ANSWERED,
    FAILED,
    MISSING,
    REJECTED,
    Progress,
    progress,
    tally,
)
from grabient_ops.sandbox.state import Batch, State

_LAG_S = 1.0
_POLL_ERRORS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A batch as a wire wants it accepted.

    Attributes:
        input_file: name of the blob with one request per line.
        sent: what the client gave, to be echoed.
    """

    id: str
    provider: str
    model: str
    input_file: str
    survey: Survey
    sent: dict[str, Any] = field(default_factory=dict)


class Core:
    """One sandbox: its memory, its faults and its clock.

    Attributes:
        latency_s: seconds from a batch's creation to its end.
        seed: with a batch's content it decides every answer.
    """

    def __init__(self, state: State, faults: Faults, *, seed: int, latency_s: float) -> None:
        self.state = state
        self.faults = faults
        self.seed = seed
        self.latency_s = latency_s

    def digested(self, batch_id: str) -> Path:
        """Where a batch's requests are, as `intake.survey` left them."""
        return self.state.blob(batch_id + ".requests")

    def submit(self, draft: Draft, drawn: tuple[str, ...]) -> Batch:
        """Accept a batch for good.

        Args:
            draft: what the wire made of the client's call.
            drawn: the faults that `Faults.draw_for_batch` gave for it.

        Raises:
            DroppedError, ApiError: the batch is accepted, and its client shall not learn it.
        """
        content = f"{draft.provider} {draft.model} {draft.survey.digest}"
        turn = f"{self.seed} {content} {self.state.repeats(content)}"
        batch = Batch(
            id=draft.id,
            provider=draft.provider,
            model=draft.model,
            total=len(draft.survey.fates),
            created_at=time.time(),
            latency_s=self.latency_s,
            input_file=draft.input_file,
            salt=blake2b(turn.encode(), digest_size=16).hexdigest(),
            faults=drawn,
            sent=draft.sent,
            problems=tuple(draft.survey.problems),
            poll_errors=_POLL_ERRORS if "poll_500" in drawn else 0,
            fates=_fates(draft, drawn),
        )
        self.state.add_batch(batch, content)
        if self.faults.fires("accept_then_drop"):
            raise DroppedError
        if self.faults.fires("accept_then_500"):
            raise ApiError(500, "The server had an error while processing your request.")
        return batch

    def find(self, provider: str, batch_id: str, *, polling: bool = False) -> Batch | None:
        """Return a batch that its provider shows by now, or None.

        Raises:
            ApiError: `polling`, and the batch still owes failed polls.
        """
        batch = self.state.batch(provider, batch_id)
        if batch is None or self._lags(batch):
            return None
        if polling and batch.poll_errors:
            self.state.update_batch(replace(batch, poll_errors=batch.poll_errors - 1))
            raise ApiError(500, "The server had an error while processing your request.")
        return batch

    def listed(self, provider: str) -> list[Batch]:
        """The batches that a provider shows by now, newest first."""
        return [batch for batch in self.state.batches(provider) if not self._lags(batch)]

    def cancel(self, batch: Batch) -> Batch:
        """Ask for the end of a batch; a second cancel, or one after the end, changes nothing."""
        if batch.cancel_at is not None or self.progress(batch).stage.ended:
            return batch
        canceled = replace(batch, cancel_at=time.time())
        self.state.update_batch(canceled)
        return canceled

    def progress(self, batch: Batch) -> Progress:
        """Where the batch is now."""
        return progress(batch, time.time())

    def billed(self, batch: Batch) -> int:
        """How many answers of this batch were produced so far and can be read in the end."""
        if batch.provider == "google" and "expire" in batch.faults:
            return 0
        return tally(batch, self.progress(batch).reached).answered

    @staticmethod
    def _lags(batch: Batch) -> bool:
        return "read_after_write_404" in batch.faults and time.time() < batch.created_at + _LAG_S


def new_id(prefix: str) -> str:
    """A fresh id in the providers' manner."""
    return prefix + secrets.token_hex(12)


def one_in_five(index: int, total: int) -> bool:
    """Pick a fifth of the lines, the last one always."""
    return index % 5 == (total - 1) % 5


def _fates(draft: Draft, drawn: tuple[str, ...]) -> bytes:
    fates = draft.survey.fates
    total = len(fates)
    if "half_failed" in drawn:
        _mark(fates, FAILED, range(0, total, 2))
    if "rejected_lines" in drawn:
        _mark(fates, REJECTED, {0, total // 2})
    if "missing_ids" in drawn:
        _mark(fates, MISSING, (i for i in range(total) if one_in_five(i, total)))
    if "empty_output" in drawn:
        lost = FAILED if draft.provider in {"openai", "groq"} else MISSING
        _mark(fates, lost, range(total))
    return bytes(fates)


def _mark(fates: bytearray, fate: bytes, indices: Iterable[int]) -> None:
    for index in indices:
        if fates[index : index + 1] == ANSWERED:
            fates[index : index + 1] = fate
