"""Batches: what was submitted to the providers, and how it goes there."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query

from grabient_ops.pipeline.recovery import cancel, find_batch
from grabient_ops.store.batches import Batch, StoredState, list_batches
from grabient_ops.store.requests import count_requests
from grabient_ops.store.responses import count_strays
from grabient_ops.web.api.route import ApiRoute, looking_up, problems
from grabient_ops.web.api.words import Id, Limit, ProviderWord
from grabient_ops.web.parts import Parts

router = APIRouter(prefix="/batches", tags=["batches"], route_class=ApiRoute)


class BatchDetail(NamedTuple):
    """A batch with its requests by state, and the lines that belong to none of them by kind."""

    batch: Batch
    requests: dict[str, int]
    strays: dict[str, int]


@router.get("")
def list_batches_newest_first(
    web: Parts,
    state: Annotated[Sequence[StoredState], Query(max_length=20, description="Only these.")] = (),
    provider: ProviderWord | None = None,
    limit: Limit = 100,
) -> list[Batch]:
    """List batches, newest first."""
    with web.app.store.read() as connection:
        return list_batches(connection, states=state or None, provider=provider, limit=limit)


@router.get("/{id}", responses=problems(404))
def show_batch(web: Parts, id: Id) -> BatchDetail:  # noqa: A002 - name in the path
    """Show a batch; its id is ours, its workflow's or the provider's."""
    with looking_up():
        batch = find_batch(web.app.services, id)
    with web.app.store.read() as connection:
        requests = count_requests(connection, batch.id)
        return BatchDetail(batch, requests, count_strays(connection, batch.id))


@router.post("/{id}/cancel", status_code=202, responses=problems(404))
def cancel_batch(web: Parts, id: Id) -> Batch:  # noqa: A002 - name in the path
    """Cancel a batch: the provider is asked, and what was finished is still collected."""
    services = web.app.services
    with looking_up():
        batch = find_batch(services, id)
    return services.batch(cancel(services, batch.id).id)
