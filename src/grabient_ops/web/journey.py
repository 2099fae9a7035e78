"""Where a batch is on its way, as every page shows it."""

from typing import NamedTuple

from grabient_ops.store.batches import Batch
from grabient_ops.web.wording import span

STAGES = ("submitted", "waiting", "collecting", "done")
_STAGE_OF = {
    "reserved": 0, "over_budget": 0, "submitting": 0, "waiting": 1, "canceling": 1,
    "collecting": 2,
}  # fmt: skip


class Journey(NamedTuple):
    """A batch on its way.

    Attributes:
        batch: as it is stored.
        stage: index into `STAGES`; what has ended is at the last.
        done: requests that the provider reports as finished, or all once the batch has ended.
    """

    batch: Batch
    stage: int
    done: int

    @property
    def took(self) -> str:
        """How long it took, for people; "" before its end."""
        ended = self.batch.ended_at
        return span(ended - self.batch.created_at) if ended else ""


def journey(batch: Batch) -> Journey:
    """Say where a batch is."""
    if batch.ended_at is not None:
        return Journey(batch, len(STAGES) - 1, batch.request_count)
    return Journey(batch, _STAGE_OF.get(batch.state, 1), batch.live_completed + batch.live_failed)
