"""What every part of the pipeline works with; built once, in the composition root."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from grabient_ops.providers.base import Provider, ProviderName
from grabient_ops.providers.catalog import Catalog, Model, PictureForm
from grabient_ops.store.batches import Batch, load_batch, update_batch
from grabient_ops.store.engine import Store

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Policy:
    """Patience, in seconds unless named otherwise.

    Attributes:
        poll_s: first wait between two polls of a batch; it grows by half each time, up to 20x.
        step_s: first wait before a failed call is repeated; it doubles.
        settle_s: how long a creation of unknown outcome is looked for before it is repeated.
        retry_s: first wait before a failed submission is planned again; it doubles, up to 15 min.
        stall_s: age at which an unfinished batch is given up: cancelled, collected, asked again.
        max_attempts: tries per tagging request and run.
        refinement_attempts: tries per refinement.
    """

    poll_s: float
    step_s: float
    settle_s: Callable[[ProviderName], float]
    retry_s: float
    stall_s: float
    max_attempts: int
    refinement_attempts: int = 5

    def attempts_of(self, kind: str) -> int:
        """Return the tries per request and run of a kind of prompt."""
        return self.refinement_attempts if kind == "refinement" else self.max_attempts


class RefinementChoice(NamedTuple):
    """How to refine what has been tagged.

    Attributes:
        pictures: how the model gets to see the palette; None when it does not.
    """

    model: Model
    pictures: PictureForm | None


class Wakes:
    """Lets other threads interrupt the wait of one batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}
        self._nudged: set[str] = set()

    async def wait(self, batch_id: str, seconds: float, unless: Callable[[], bool]) -> bool:
        """Wait so long, or until somebody calls `wake` or `nudge` for this batch.

        `unless` is asked when a wake can no longer be missed; when it says yes, nothing is waited
        for. Return whether there was a nudge since the last time.
        """
        event = asyncio.Event()
        with self._lock:
            self._waiting[batch_id] = (asyncio.get_running_loop(), event)
            is_nudged = batch_id in self._nudged
        try:
            if not is_nudged and not unless():
                await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting.pop(batch_id, None)
                is_nudged = batch_id in self._nudged
                self._nudged.discard(batch_id)
        return is_nudged

    def wake(self, batch_id: str) -> None:
        """Interrupt the wait of a batch, if it waits here: its row has changed."""
        with self._lock:
            found = self._waiting.get(batch_id)
        if found is not None:
            loop, event = found
            loop.call_soon_threadsafe(event.set)

    def nudge(self, batch_id: str) -> None:
        """End the wait of a batch, or its next one: the provider has news of it."""
        with self._lock:
            self._nudged.add(batch_id)
        self.wake(batch_id)


def utc_now() -> datetime:
    """Return this moment, aware."""
    return datetime.now(UTC)


def elapsed_s() -> float:
    """Return seconds since some moment; they also pass while process or machine are stopped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Services:
    """The concrete parts that the pipeline was given.

    Attributes:
        store: the operational store.
        catalog: the models.
        provider: builds (once) the client of a provider; ConfigError names a missing key.
        missing_key: the environment variable that a provider lacks, or None.
        policy: patience.
        spool: folder for payloads and result files of batches in flight.
        warehouse: opens the warehouse, brought up to date.
        picture_url: the public address of a palette's picture, or None.
        publish_pictures: makes sure that these palettes' pictures are at their addresses.
        refine_after: how to refine when all runs are complete; None not to.
        creating: encloses every creation at a provider; it raises when this worker may not.
        standing_budget: most that this home may ever cost, in pico-dollars; None without a limit.
        now: the time of day, which somebody may set.
        elapsed: seconds since some moment, for waits: nobody sets that clock.
    """

    store: Store
    catalog: Catalog
    provider: Callable[[ProviderName], Provider]
    missing_key: Callable[[ProviderName], str | None]
    policy: Policy
    spool: Path
    warehouse: Callable[[], AbstractContextManager["Warehouse"]]
    picture_url: Callable[[str], str | None] = lambda _seed: None
    publish_pictures: Callable[[Sequence[str]], None] = lambda _seeds: None
    refine_after: RefinementChoice | None = None
    standing_budget: int | None = None
    creating: Callable[[], AbstractContextManager[None]] = nullcontext
    now: Callable[[], datetime] = utc_now
    elapsed: Callable[[], float] = elapsed_s
    wakes: Wakes = field(default_factory=Wakes)

    def batch(self, batch_id: str) -> Batch:
        """Return a batch as it is stored now."""
        with self.store.read() as connection:
            return load_batch(connection, batch_id)

    def update(self, batch_id: str, **values: object) -> None:
        """Change columns of a batch in a transaction of their own."""
        with self.store.write() as connection:
            update_batch(connection, batch_id, self.now(), **values)

    def model_of(self, batch: Batch) -> Model:
        """Return the catalog's model with the parameters that the batch was reserved with."""
        return replace(self.catalog.get(batch.provider, batch.model), **batch.parameters)

    def provider_of(self, batch: Batch) -> Provider:
        """Return the client of the batch's provider."""
        return self.provider(self.model_of(batch).provider)

    def spool_of(self, batch_id: str) -> Path:
        """Return the folder for the files of a batch in flight."""
        return self.spool / batch_id
