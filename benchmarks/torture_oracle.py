"""Judges a pass that has ended: the sandbox's ledger against store, journal and warehouse."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.fleet import ANSWERED, ASKED, Fleet
from grabient_ops.analytics.sync import sync
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.errors import GrabientError
from grabient_ops.providers.catalog import load_catalog
from grabient_ops.tagging.usage import Usage

_KEY = "prompt_version, provider, model, run_number, seed"
_TOKENS = ("input_tokens", "output_tokens", "cached_tokens")
_TOTALS = ", ".join(f"sum(a.{name})" for name in _TOKENS)
_SENT = "FROM batches WHERE provider_batch_id IS NOT NULL"
_USAGE = f"""SELECT b.provider_batch_id, {_TOTALS}, sum(a.cost), min(b.settled_cost),
       min(b.reserved_cost)
FROM batches b JOIN palette_tags a ON a.batch_id = b.id
WHERE b.provider_batch_id IS NOT NULL GROUP BY b.provider_batch_id"""  # noqa: S608 - constant
_TWICE = f"""SELECT 1 FROM palette_tags WHERE error_class IS NULL
GROUP BY {_KEY} HAVING count(*) > 1"""  # noqa: S608 - constant
_ROWLESS = """SELECT 1 FROM requests q LEFT JOIN palette_tags a
  ON a.batch_id = q.batch_id AND a.seed = q.seed
WHERE (a.id IS NULL) <> (q.state = 'released')"""
_WORKFLOWS = """SELECT w.status, b.provider_batch_id IS NULL, b.ended_at IS NULL
FROM batches b LEFT JOIN dbos.workflow_status w ON w.workflow_uuid = b.workflow_id"""
_AT_WORK = "SELECT 1 FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')"

Contents = list[list[tuple[Any, ...]]]


def find_faults(fleet: Fleet) -> list[str]:
    """Return every promise that a pass without faults of the provider's own has broken."""
    return [
        *_requests_that_did_not_end_once(fleet),
        *_batches_bought_otherwise(fleet),
        *_sums_that_differ(fleet),
        *_journal_against_store(fleet),
        *_warehouses_unlike_a_rebuild(fleet),
    ]


def _requests_that_did_not_end_once(fleet: Fleet) -> Iterator[str]:
    [(asked,)], [(answered,)] = fleet.rows(ASKED), fleet.rows(ANSWERED)
    if asked != answered:
        yield f"asked {asked}, have rows of {answered}"
    for name, query in {
        "an open request": "SELECT 1 FROM requests WHERE state = 'open'",
        "a request with no row, or a row too many": _ROWLESS,
        "a request answered twice": _TWICE,
        "a stray result": "SELECT 1 FROM stray_results",
        "an ending that was not delivered": "SELECT 1 FROM completions WHERE delivered_at IS NULL",
    }.items():
        if found := len(fleet.rows(query)):
            yield f"{name} ({found} times)"


def _batches_bought_otherwise(fleet: Fleet) -> Iterator[str]:
    ledger = fleet.sandbox.ledger()
    bought = Counter(batch["id"] for batch in ledger["batches"])
    known = Counter(row[0] for row in fleet.rows(f"SELECT provider_batch_id {_SENT}"))
    if bought != known:
        yield f"bought {bought.total()} batches, know {known.total()}"
    sent = sum(batch["requests"] for batch in ledger["batches"])
    [(meant,)] = fleet.rows(f"SELECT sum(request_count) {_SENT}")
    if sent != meant:
        yield f"sent {sent} requests, meant {meant}"
    [(kept,)] = fleet.rows("SELECT count(*) FROM palette_tags WHERE response IS NOT NULL")
    if kept != ledger["requests_billed"]:
        yield f"billed {ledger['requests_billed']} answers, kept {kept}"


def _sums_that_differ(fleet: Fleet) -> Iterator[str]:
    """Tokens by the provider's word, by our rows, and their price in the books."""
    prices = load_catalog().prices
    books = {row[0]: [int(value or 0) for value in row[1:]] for row in fleet.rows(_USAGE)}
    for batch in fleet.sandbox.call("/sandbox/ledger?tokens")["batches"]:
        billed = [batch[name] for name in _TOKENS]
        price = prices(batch["provider"], batch["model"], None)
        cost = price.batch_cost(Usage(*billed)) if price else 0
        if books.get(batch["id"]) != [*billed, cost, cost, 0]:
            yield f"{batch['id']}: billed {billed} for {cost}, books say {books.get(batch['id'])}"


def _journal_against_store(fleet: Fleet) -> Iterator[str]:
    for (status, is_unsent, is_open), count in Counter(fleet.rows(_WORKFLOWS)).items():
        # A submission that failed for good was taken back, and planned anew under another id.
        right = {"SUCCESS", "ERROR"} if is_unsent else {"SUCCESS"}
        if is_open or status not in right:
            yield f"{count} batches are {'open' if is_open else 'closed'}, their workflows {status}"
    if fleet.rows(_AT_WORK):
        yield "the journal is still at work"


def _warehouses_unlike_a_rebuild(fleet: Fleet) -> Iterator[str]:
    lakes = sorted(fleet.folder.glob("*/lake")) or [fleet.operator.path / "lake"]
    with tempfile.TemporaryDirectory() as fresh:
        rebuilt = _synced(Path(fresh), fleet.url)
        for lake in lakes:
            try:
                found: Contents | str = _synced(lake, fleet.url)
            except GrabientError as error:
                found = str(error)
            if found != rebuilt:
                name = f"the warehouse of {lake.parent.name}"
                yield f"{name}: {found}" if isinstance(found, str) else f"{name} is not a rebuild"


def _synced(lake: Path, url: str) -> Contents:
    """Bring a lake up to date; return what it says, without its ids."""
    sync(lake, url)
    with open_warehouse(lake) as warehouse:
        ask: Callable[[str], Any] = warehouse.connection.execute
        answers = ask("FROM answers ORDER BY response_id").fetchall()
        return [answers, ask("FROM votes ORDER BY ALL").fetchall()]
