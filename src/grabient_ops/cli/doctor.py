"""`grabient-ops doctor`."""

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from grabient_ops.cli.common import Json, open_app, print_json, print_table
from grabient_ops.errors import (
    AuthenticationError,
    ConfigError,
    GrabientError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    StoreError,
)

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.providers.base import ProviderName
    from grabient_ops.providers.catalog import Model
    from grabient_ops.store.batches import Batch
    from grabient_ops.store.engine import Store

_LEAST_FREE_BYTES = 1 << 30
_LEAST_SQLITE = (3, 42)
_RETIRES_SOON = timedelta(days=30)
_OLD_CATALOG = timedelta(days=90)
_LATE = timedelta(hours=24)
_NO_BATCH = "grabient-ops-doctor"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        status: `problem` makes the command fail, `warning` does not; `off` is not configured.
    """

    name: str
    status: Literal["ok", "off", "warning", "problem"]
    detail: str


def doctor(as_json: Json = False) -> None:
    """Say what is configured, reachable and outdated; exit 1 when something is wrong."""
    from grabient_ops.logs import scrub

    app = open_app()
    checks = [replace(c, detail=scrub(" ".join(c.detail.split()))) for c in _look(app)]
    problems = dict.fromkeys(check.name for check in checks if check.status == "problem")
    if as_json:
        print_json({"ok": not problems, "checks": [asdict(check) for check in checks]})
    else:
        print_table(["", "check", "finding"], [(c.status, c.name, c.detail) for c in checks])
    if problems:
        raise GrabientError(f"something is wrong with: {', '.join(problems)}")


def _look(app: "App") -> Iterator[Check]:
    yield from _check_home(app)
    yield _check_sqlite()
    store = None
    try:
        store = app.store
        yield _check_store(store)
    except StoreError as error:
        yield Check("store", "problem", str(error))
    pending = _pending_models(app, store) if store else set()
    yield from _check_providers(app, {provider for provider, _ in pending})
    try:
        yield from _check_models(app, pending)
    except ConfigError as error:
        yield Check("models", "problem", str(error))
    if store:
        yield from _check_batches(app, store)


def _check_home(app: "App") -> Iterator[Check]:
    home = app.settings.home
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            yield Check("home", "ok", str(home))
    except OSError as error:
        yield Check("home", "problem", f"{home} cannot be written: {error.strerror}")
        return
    free = shutil.disk_usage(home).free
    status: Literal["ok", "problem"] = "ok" if free >= _LEAST_FREE_BYTES else "problem"
    yield Check("disk", status, f"{free / (1 << 30):,.1f} GiB free")


def _check_sqlite() -> Check:
    """The journal's SQL needs `unixepoch('subsec')` from Python 3.12 on (dbos, SQLite 3.42)."""
    version = f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}"
    if sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < _LEAST_SQLITE:
        return Check("sqlite", "problem", f"{version}: too old; Python 3.11 would do")
    return Check("sqlite", "ok", version)


def _check_store(store: "Store") -> Check:
    from grabient_ops.store.engine import SCHEMA_REVISION
    from grabient_ops.store.palettes import count_palettes

    with store.read() as connection:
        count = count_palettes(connection)
    return Check("store", "ok", f"{store.url}, schema {SCHEMA_REVISION}, {count:,} palettes")


def _pending_models(app: "App", store: "Store") -> set[tuple[str, str]]:
    """Return the (provider, model) pairs that still have something to answer."""
    from grabient_ops.store.targets import list_model_targets, run_is_pending

    attempts = app.settings.max_attempts
    with store.read() as connection:
        return {
            (target.provider, target.model)
            for target in list_model_targets(connection)
            for run_number in range(1, target.target_runs + 1)
            if run_is_pending(connection, target, run_number, attempts)
        }


def _check_providers(app: "App", needed: set[str]) -> Iterator[Check]:
    from grabient_ops.providers.base import PROVIDERS

    with ThreadPoolExecutor(len(PROVIDERS)) as pool:
        yield from pool.map(partial(_check_provider, app, needed), PROVIDERS)
    if not any(map(app.api_key, PROVIDERS)):
        yield Check("keys", "problem", "no provider has a key, so nothing can be tagged")


def _check_provider(app: "App", needed: set[str], name: "ProviderName") -> Check:
    """Ask for a batch that cannot exist: to say so, the provider must have accepted the key."""
    from grabient_ops.providers.registry import KEY_VARIABLES, build_provider

    variable = KEY_VARIABLES[name][0]
    key, url = app.api_key(name), app.base_url(name)
    if key is None:
        if name in needed:
            return Check(name, "problem", f"{variable} is not set, but its models have work")
        return Check(name, "off", f"{variable} is not set")
    place = f"{variable} is set, {url or 'its own host'}"
    try:
        build_provider(name, api_key=key, base_url=url).poll(_NO_BATCH)
    except (NotFoundError, InvalidRequestError, RateLimitedError):
        return Check(name, "ok", f"{place}: reachable, key accepted")
    except AuthenticationError as error:
        return Check(name, "problem", f"{place}: key refused: {error.message}")
    except (ProviderError, ConfigError) as error:
        return Check(name, "problem", f"{place}: {getattr(error, 'message', error)}")
    return Check(name, "warning", f"{place}: answers for a batch that does not exist")


def _check_models(app: "App", pending: set[tuple[str, str]]) -> Iterator[Check]:
    from grabient_ops.pipeline.services import utc_now

    catalog = app.catalog
    today = utc_now().date()
    age = today - max(model.as_of for model in catalog.models)
    yield Check(
        "catalog",
        "warning" if age > _OLD_CATALOG else "ok",
        f"{len(catalog.models)} models, newest fact {age.days} days old",
    )
    known = {(model.provider, model.id) for model in catalog.models}
    for provider, model_id in sorted(pending - known):
        yield Check(f"{provider}/{model_id}", "problem", "has work but is not in the catalog")
    for model in catalog.models:
        if model.default or (model.provider, model.id) in pending:
            yield from _check_model(model, today)


def _check_model(model: "Model", today: date) -> Iterator[Check]:
    name = f"{model.provider}/{model.id}"
    advice = f"; use {model.neighbour}" if model.neighbour else ""
    if model.status(today) == "retired":
        yield Check(name, "problem", f"retired on {model.retires_on}{advice}")
    elif model.retires_on and model.retires_on - today <= _RETIRES_SOON:
        yield Check(name, "warning", f"retires on {model.retires_on}{advice}")
    if model.prices is None:
        yield Check(name, "warning", "its price is unknown, so no budget can be kept")


def _check_batches(app: "App", store: "Store") -> Iterator[Check]:
    from grabient_ops.store.batches import OPEN_STATES, list_batches

    worker = _worker(app)
    yield Check("worker", "ok" if worker else "off", worker or "no worker runs on this home")
    with store.read() as connection:
        found = list_batches(connection, states=OPEN_STATES)
    waiting = [batch for batch in found if batch.state == "over_budget"]
    found = [batch for batch in found if batch not in waiting]
    if waiting:
        yield Check("budget", "warning", f"waiting for money, see `cost budget`: {_ids(waiting)}")
    stopped = [batch for batch in found if batch.state == "stopped"]
    late = [
        batch
        for batch in found
        if batch.submitted_at and app.services.now() - batch.submitted_at > _LATE
    ]
    if stopped:
        yield Check("batches", "problem", f"stopped, see `workflows list`: {_ids(stopped)}")
    if late:
        yield Check("batches", "problem", f"not ended within 24 hours: {_ids(late)}")
    if len(found) > len(stopped) and not worker:
        yield Check("batches", "problem", f"{len(found)} in flight, but no worker collects them")
    elif not (stopped or late):
        yield Check("batches", "ok", f"{len(found)} in flight")


def _worker(app: "App") -> str | None:
    """Return who holds the home, or works on the shared database, or None."""
    if app.settings.is_postgres:
        return _leaseholders(app)
    try:
        with app.hold_home():
            return None
    except StoreError as error:
        return str(error)


def _leaseholders(app: "App") -> str | None:
    from grabient_ops.store.leases import list_leases

    with app.store.read() as connection:
        living = [lease.id for lease in list_leases(connection) if not lease.is_expired]
    return f"at work: {', '.join(living)}" if living else None


def _ids(batches: "list[Batch]") -> str:
    shown = ", ".join(batch.id for batch in batches[:5])
    return f"{shown} and {len(batches) - 5} more" if len(batches) > 5 else shown
