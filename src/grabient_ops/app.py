"""The composition root: settings -> concrete parts. The only place that picks them."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from grabient_ops.errors import ConfigError, StoreError
from grabient_ops.loopback import is_loopback
from grabient_ops.providers.base import PROVIDERS, Provider, ProviderName
from grabient_ops.providers.catalog import Catalog, load_catalog
from grabient_ops.providers.registry import KEY_VARIABLES, build_provider
from grabient_ops.providers.tracing import traced
from grabient_ops.settings import Settings, check_key
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.moving import refuse_moved
from grabient_ops.store.notes import get_note

if TYPE_CHECKING:
    from dbos import DBOSClient

    from grabient_ops.analytics.questions.usage import ModelPrices
    from grabient_ops.analytics.search.embedding import Embedder
    from grabient_ops.analytics.search.refresh import Refreshed
    from grabient_ops.analytics.warehouse import Warehouse
    from grabient_ops.images.objects import PictureStore
    from grabient_ops.pipeline.services import RefinementChoice, Services
    from grabient_ops.pipeline.worker import Worker

DEMO_NOTE = "demo"
_SETTLE_S = 120.0
_SETTLE_ON_LOOPBACK_S = 2.0


class App:
    """Everything a command needs, made on first use."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def store(self) -> Store:
        """The operational store, its schema up to date."""
        self._make_home()
        store = open_store(self.settings.store_url)
        with store.read() as connection:
            refuse_moved(connection)
        return store

    @cached_property
    def catalog(self) -> Catalog:
        """The packaged models, with the home's `models.toml` laid over them."""
        overlay = self.settings.home / "models.toml"
        return load_catalog(overlay if overlay.exists() else None)

    @property
    def journal_url(self) -> str:
        """Where DBOS keeps its journal: its own SQLite file, or a schema in the same PostgreSQL."""
        if self.settings.is_postgres:
            return self.settings.store_url
        return f"sqlite:///{self.settings.home / 'journal.sqlite'}"

    @cached_property
    def services(self) -> "Services":
        """The parts that the pipeline works with."""
        from grabient_ops.pipeline.services import Policy, Services

        settings = self.settings
        policy = Policy(
            poll_s=settings.poll_seconds,
            step_s=min(1.0, settings.poll_seconds),
            settle_s=self._settle_s,
            retry_s=settings.retry_seconds,
            stall_s=settings.stall_hours * 3600,
            max_attempts=settings.max_attempts,
            refinement_attempts=settings.refinement_attempts,
        )
        return Services(
            store=self.store,
            catalog=self.catalog,
            provider=cache(self._build_provider),
            missing_key=self.missing_key,
            policy=policy,
            spool=settings.home / "spool",
            warehouse=self.warehouse,
            picture_url=self._picture_url,
            publish_pictures=self._publish_pictures,
            refine_after=self._refine_after(),
            standing_budget=self._standing_budget(),
        )

    def refinement_choice(
        self, name: str | None = None, *, with_pictures: bool = True
    ) -> "RefinementChoice":
        """Return how to refine: by the named model, or the one of the settings.

        Raises:
            ConfigError: the model is unknown or retired.
        """
        from grabient_ops.pipeline.services import RefinementChoice

        settings = self.settings
        model = self.catalog.find(name or settings.refinement_model)
        self.catalog.require_living(model, datetime.now(UTC).date())
        if settings.refinement_pictures == "none" or not with_pictures:
            return RefinementChoice(model, None)
        public = settings.refinement_pictures == "url" and self.pictures.is_public
        return RefinementChoice(model, model.picture_form(public=public))

    def _standing_budget(self) -> int | None:
        from grabient_ops.pipeline.limits import to_pico

        usd = self.settings.budget_usd
        return None if usd is None else to_pico(usd)

    def _refine_after(self) -> "RefinementChoice | None":
        return self.refinement_choice() if self.settings.refine_after_tagging else None

    @property
    def lake(self) -> Path:
        """Where the home keeps its warehouse."""
        return self.settings.home / "lake"

    @contextmanager
    def warehouse(self) -> "Iterator[Warehouse]":
        """Bring the warehouse up to date and open it."""
        from grabient_ops.analytics.sync import sync
        from grabient_ops.analytics.warehouse import open_warehouse

        sync(self.lake, self.settings.store_url)
        with open_warehouse(self.lake) as warehouse:
            yield warehouse

    def model_prices(self) -> "tuple[ModelPrices, ...]":
        """Return what the catalog knows of prices, as the questions of the warehouse take it."""
        from grabient_ops.analytics.questions.usage import ModelPrices

        names = ModelPrices._fields[2:]
        return tuple(
            ModelPrices(
                model.provider, model.id, *(getattr(model.prices, name, None) for name in names)
            )
            for model in self.catalog.models
        )

    @cached_property
    def embedder(self) -> "Embedder":
        """What turns texts into vectors: the API of the settings, or packaged word vectors."""
        settings = self.settings
        if settings.embedding_url is None:
            from grabient_ops.analytics.search.embedding import WordVectors

            return WordVectors()
        from grabient_ops.providers.embeddings import EndpointEmbedder

        key = settings.embedding_api_key and settings.embedding_api_key.get_secret_value()
        check_key("GRABIENT_OPS_EMBEDDING_API_KEY", key or "")
        return EndpointEmbedder(settings.embedding_url, settings.embedding_model, key or None)

    def refresh_refined(self) -> "Refreshed":
        """Bring the refined palettes of the warehouse, and their vectors, up to date."""
        from grabient_ops.analytics.search.refresh import refresh_refined

        self.store.close()  # once opened, its schema is there
        return refresh_refined(self.lake, self.settings.store_url, self.embedder)

    @cached_property
    def pictures(self) -> "PictureStore":
        """Where pictures are kept; a demo's stay in its home."""
        from grabient_ops.images.objects import open_folder, open_pictures

        self._make_home()
        return open_folder(self.settings.home) if self.is_demo() else open_pictures(self.settings)

    def _picture_url(self, seed: str) -> str | None:
        return self.pictures.url_of(seed)

    def _publish_pictures(self, seeds: Sequence[str]) -> None:
        from grabient_ops.pipeline.images import generate

        generate(self.store, self.pictures, seeds=seeds)

    def worker(self) -> "Worker":
        """Make the worker of this process; hold the home while it runs."""
        from grabient_ops.pipeline.worker import Worker

        keep = timedelta(days=self.settings.keep_journal_days)
        settings = self.settings
        return Worker(
            self.services, self.journal_url, keep, settings.otlp_url, settings.lease_seconds
        )

    def journal(self) -> "DBOSClient":
        """Open the journal to look into it, or to send a command to the worker."""
        from grabient_ops.pipeline.journal import open_client

        self._make_home()
        return open_client(self.journal_url)

    @contextmanager
    def hold_home(self) -> Iterator[None]:
        """Hold the lock that lets one worker work on this home.

        On PostgreSQL any number may: there each has a lease of its own.

        Raises:
            StoreError: another process holds it.
        """
        self._make_home()
        if self.settings.is_postgres:
            yield
            return
        path = self.settings.home / "worker.lock"
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                message = f"a worker (process {file.read().strip() or '?'}) holds {path.parent}"
                raise StoreError(message) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    @contextmanager
    def hold_convex(self) -> Iterator[None]:
        """Hold the lock that lets one process of this home follow a Convex deployment.

        Raises:
            StoreError: another process holds it.
        """
        self._make_home()
        path = self.settings.home / "convex.lock"
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = f"another process follows Convex for {path.parent}; it does your work"
                raise StoreError(message) from error
            yield

    def api_key(self, provider: ProviderName) -> str | None:
        """Return a provider's key, or None."""
        secret = getattr(self.settings, f"{provider}_api_key")
        return secret.get_secret_value() if secret else None

    def base_url(self, provider: ProviderName) -> str | None:
        """Return where a provider is to be reached, or None for its own address."""
        url: str | None = getattr(self.settings, f"{provider}_base_url")
        return url

    def missing_key(self, provider: ProviderName) -> str | None:
        """Return the variable that must be set before a provider can be used, or None."""
        return None if self.api_key(provider) else KEY_VARIABLES[provider][0]

    def is_demo(self) -> bool:
        """Whether the home holds a demo: palettes and answers that came from the sandbox."""
        with self.store.read() as connection:
            return get_note(connection, DEMO_NOTE) is not None

    def refuse_mixing(self) -> None:
        """Keep a demo's palettes away from real providers.

        Raises:
            ConfigError: this is a demo's home, and a provider with a key is not on this machine.
        """
        used = [provider for provider in PROVIDERS if self.api_key(provider)]
        real = [provider for provider in used if not self._is_here(provider)]
        if real and self.is_demo():
            message = f"{self.settings.home} is a demo's home, but {', '.join(real)} is real"
            raise ConfigError(f"{message}; set GRABIENT_OPS_HOME to another folder")

    def _settle_s(self, provider: ProviderName) -> float:
        if self.settings.settle_seconds is not None:
            return self.settings.settle_seconds
        return _SETTLE_ON_LOOPBACK_S if self._is_here(provider) else _SETTLE_S

    def _is_here(self, provider: ProviderName) -> bool:
        """Whether an emulator on this machine plays the provider."""
        return is_loopback(urlsplit(self.base_url(provider) or "").hostname or "")

    def _build_provider(self, name: ProviderName) -> Provider:
        key = self.api_key(name)
        if key is None:
            raise ConfigError(f"{KEY_VARIABLES[name][0]} is not set")
        provider = build_provider(name, api_key=key, base_url=self.base_url(name))
        return provider if self.settings.otlp_url is None else traced(provider)

    def _make_home(self) -> None:
        home = self.settings.home
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"GRABIENT_OPS_HOME {home} cannot be made: {error.strerror}"
            ) from error
