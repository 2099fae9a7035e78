"""What is measured: all of it asked from the store and the lake, nothing counted by hand."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from math import inf

from grabient_ops import __version__
from grabient_ops.analytics.manifest import Manifest, read_manifest
from grabient_ops.analytics.questions.usage import Used, usage
from grabient_ops.analytics.source import open_source
from grabient_ops.analytics.warehouse import EmptyLakeError, open_warehouse
from grabient_ops.app import App
from grabient_ops.pipeline.limits import PICO
from grabient_ops.store.changes import latest
from grabient_ops.store.completions import count_endings
from grabient_ops.store.palettes import count_palettes
from grabient_ops.store.progress import count_batches, count_requests_by_state
from grabient_ops.store.spending import measure_spending
from grabient_ops.web.metrics.exposition import Family, Sample
from grabient_ops.web.parts import Web


def read_figures(web: Web) -> Iterator[Family]:
    """Yield every family; takes a snapshot of the store, and the lake as it lies."""
    yield Family("info", "gauge", "The release.", [Sample(1, {"version": __version__})])
    yield from _of_store(web)
    yield from _of_lake(web.app)
    streams = [Sample(web.hub.streams)]
    yield Family("live_streams", "gauge", "Open streams of pages.", streams)


def _of_store(web: Web) -> Iterator[Family]:
    with web.read() as reading:
        connection, worker = reading.connection, reading.worker
        batches, requests = count_batches(connection), count_requests_by_state(connection)
        endings = {str(kind or "running"): n for kind, n in count_endings(connection).items()}
        palettes, changes = count_palettes(connection), latest(connection)
        spending = measure_spending(connection)
    usd = {"settled": spending.settled / PICO, "reserved": spending.reserved / PICO}
    yield Family("palettes", "gauge", "Stored palettes.", [Sample(palettes)])
    yield Family("batches", "gauge", "Batches by state.", _by("state", batches))
    yield Family("requests", "gauge", "Requests by state of their batch.", _by("state", requests))
    yield Family("workflows", "gauge", "Workflows by how they ended.", _by("state", endings))
    yield Family("cost_usd", "gauge", "Spent, and reserved for what is in flight.", _by("of", usd))
    yield Family(
        "changes", "counter", "Number of the newest change of the store.", [Sample(changes)]
    )
    states = [Sample(1, {"state": worker.state})]
    yield Family("worker", "gauge", "Who works on the home, as this server sees it.", states)


def _of_lake(app: App) -> Iterator[Family]:
    manifest = read_manifest(app.lake)
    if manifest is None:
        return
    generation = [Sample(manifest.generation)]
    yield Family("lake_generation", "gauge", "Generation of the warehouse.", generation)
    behind = [Sample(_count_behind(app, manifest))]
    text = "Batches whose answers have changed since the warehouse read them."
    yield Family("lake_batches_behind", "gauge", text, behind)
    try:
        with open_warehouse(app.lake) as warehouse:
            used = usage(warehouse, (), by=["provider", "model"])
    except EmptyLakeError:
        return
    yield Family("answers", "counter", "Answers and failures, by model.", list(_answers(used)))
    yield Family("tokens", "counter", "Tokens of all answers, by model.", list(_tokens(used)))


def _count_behind(app: App, manifest: Manifest) -> float:
    """Infinite when the warehouse is of another store, and everything is to be read anew."""
    if manifest.watermark is None:
        return inf
    with closing(open_source(app.settings.store_url)) as source, source.snapshot() as snapshot:
        changed = snapshot.changed(manifest.watermark)
    return inf if changed is None else len(changed)


def _answers(used: list[Used]) -> Iterator[Sample]:
    for row in used:
        yield Sample(row.answered, {**_model(row), "outcome": "tagged"})
        yield Sample(row.requests - row.answered, {**_model(row), "outcome": "failed"})


def _tokens(used: list[Used]) -> Iterator[Sample]:
    for row in used:
        yield Sample(row.input_tokens, {**_model(row), "direction": "input"})
        yield Sample(row.output_tokens, {**_model(row), "direction": "output"})


def _model(row: Used) -> dict[str, str]:
    return {"provider": row.provider or "", "model": row.model or ""}


def _by(label: str, values: Mapping[str, float]) -> list[Sample]:
    return [Sample(value, {label: name}) for name, value in values.items()]
