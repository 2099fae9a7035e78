"""The truth against which double spending and loss are judged."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from starlette.responses import Response
from starlette.routing import Route

from grabient_ops.sandbox.core import Core
from grabient_ops.sandbox.http import ApiError, JsonObject
from grabient_ops.sandbox.lifecycle import Progress, Stage
from grabient_ops.sandbox.state import Batch


class Speaker(Protocol):
    """The HTTP of somebody outside.

    Attributes:
        id_header: which header of an answer carries its id; empty where none does.
    """

    id_header: str

    def routes(self) -> list[Route]:
        """Everything that it answers."""

    def refusal(self, error: ApiError) -> Response:
        """Put its own words around a refusal."""


class Wire(Speaker, Protocol):
    """One provider's HTTP."""

    def state_word(self, batch: Batch) -> str:
        """The provider's own word for where the batch is."""

    def metadata(self, batch: Batch) -> JsonObject:
        """What the client wrote on the batch, where that is possible."""


def ledger(core: Core, wires: Mapping[str, Wire], *, with_tokens: bool = False) -> JsonObject:
    """Build the ledger document.

    Args:
        core: the books.
        wires: by provider.
        with_tokens: add the billed tokens of each batch; every answer is made again for that.

    Returns:
        `batches`, oldest first: provider, id, model, requests, state (the provider's own word),
        created_at (UTC, ISO 8601), metadata, requests_billed; `requests_billed` in all; `embedded`:
        how many texts in all, and how many of them had been embedded before; `calls`: how often
        each route was called, refused calls included.
    """
    batches = []
    for batch in core.state.all_batches():
        tokens = _tokens(core, batch) if with_tokens else {}
        batches.append({**_entry(core, wires[batch.provider], batch), **tokens})
    embedded = core.state.counters("embedded ").values()
    return {
        "batches": batches,
        "requests_billed": sum(entry["requests_billed"] for entry in batches),
        "embedded": {"texts": sum(embedded), "again": sum(embedded) - len(embedded)},
        "calls": core.state.counters("call "),
    }


def _tokens(core: Core, batch: Batch) -> dict[str, int]:
    from grabient_ops.sandbox.results import billed_tokens  # NumPy would double the start-up

    seen = core.progress(batch) if core.billed(batch) else Progress(Stage.FAILED, 0)
    tokens = billed_tokens(batch, seen, core.digested(batch.id))
    return {
        "input_tokens": tokens.input_tokens,
        "output_tokens": tokens.output_tokens,
        "cached_tokens": tokens.cached_tokens,
    }


def _entry(core: Core, wire: Wire, batch: Batch) -> JsonObject:
    return {
        "provider": batch.provider,
        "id": batch.id,
        "model": batch.model,
        "requests": batch.total,
        "state": wire.state_word(batch),
        "created_at": datetime.fromtimestamp(batch.created_at, UTC).isoformat(),
        "metadata": wire.metadata(batch),
        "requests_billed": core.billed(batch),
    }
