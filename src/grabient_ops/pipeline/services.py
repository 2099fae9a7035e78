"""What every part of the pipeline works with; built once, in the composition root."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from grabient_ops.errors import ConfigError, StoreError
from grabient_ops.providers.base import PROVIDERS, Provider, ProviderName
from grabient_ops.providers.catalog import Catalog, Model, PictureForm
from grabient_ops.store.batches import Batch, list_providers_at_work, load_batch, update_batch
from grabient_ops.store.engine import Store

if TYPE_CHECKING:
    from grabient_ops.analytics.warehouse import Warehouse


News = Literal["changed", "nudged"]
"""Of a batch: its row has changed, or the provider has news of it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Patience, in seconds unless named otherwise.

    Attributes:
        poll_s: first wait between two polls of a batch; it grows by half each time, up to 20x.
        step_s: first wait before a failed call is repeated; it doubles.
        settle_s: how long a creation of unknown outcome is looked for before it is repeated.
        retry_s: first wait before a failed submission is planned again; it doubles, up to 15 min.
        stall_s: age at which an unfinished batch is cancelled, collected and asked again; at twice
            that it is given up, if the cancel has had no effect.
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


class Watch:
    """What one waiting batch hears of; made on the event loop that it waits on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._is_nudged = False

    async def wait(self, seconds: float) -> News | None:
        """Wait so long for news since the last time; None when there is none."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return None
        news: News = "nudged" if self._is_nudged else "changed"
        self._news.clear()
        self._is_nudged = False
        return news

    def tell(self, news: News) -> None:
        """Bring news from any thread."""
        self._loop.call_soon_threadsafe(self._hear, news)

    def _hear(self, news: News) -> None:
        self._is_nudged |= news == "nudged"
        self._news.set()


class Wakes:
    """Lets other threads tell the batches that wait here what the change feed says of them."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}

    @contextmanager
    def watching(self, batch_id: str) -> Iterator[Watch]:
        """Miss nothing that is said of a batch from now on."""
        watch = self._watches[batch_id] = Watch()
        try:
            yield watch
        finally:
            if self._watches.get(batch_id) is watch:
                del self._watches[batch_id]

    def tell(self, batch_id: str, news: News) -> None:
        """Tell a batch, if it waits here."""
        watch = self._watches.get(batch_id)
        if watch is not None:
            watch.tell(news)


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

    def open_clients(self) -> None:
        """Open the clients of providers with batches in flight: an SDK takes a while to import."""
        with suppress(StoreError, ConfigError):  # who asks for a client will say what is wrong
            with self.store.read() as connection:
                at_work = list_providers_at_work(connection)
            for name in PROVIDERS:
                if name in at_work and not self.missing_key(name):
                    self.provider(name)

    def spool_of(self, batch_id: str) -> Path:
        """Return the folder for the files of a batch in flight."""
        return self.spool / batch_id
