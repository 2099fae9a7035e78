"""Failures: counted, listed with what the models wrote, and asked again."""

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query
from pydantic import BaseModel

from grabient_ops.store.failures import (
    ErrorGroup,
    StoredError,
    excuse_errors,
    group_errors,
    list_errors,
)
from grabient_ops.tagging.kinds import KINDS, Kind
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.web.api.route import ApiRoute
from grabient_ops.web.api.words import After, Limit, Number, ProviderWord, Text
from grabient_ops.web.parts import Parts

router = APIRouter(prefix="/errors", tags=["errors"], route_class=ApiRoute)


class Groups(NamedTuple):
    """Failures by class and model, in both stages."""

    tagging: list[ErrorGroup]
    refinement: list[ErrorGroup]


class ErrorPage(NamedTuple):
    """Failures in the order of their ids; `next` is the `after` of those to come."""

    items: list[StoredError]
    next: int | None


class Choice(BaseModel):
    """Which failures; what is left out chooses all."""

    kind: Kind | None = None
    error_class: ErrorClass | None = None
    provider: ProviderWord | None = None
    model: Text | None = None
    run_number: Number | None = None
    batch_id: Text | None = None


class Excused(NamedTuple):
    """How many requests may be asked again."""

    requests: int


@router.get("")
def count_errors(web: Parts) -> Groups:
    """Count failures by class and model; those still unanswered apart."""
    with web.app.store.read() as connection:
        return Groups(*(group_errors(connection, kind) for kind in KINDS))


@router.get("/list")
def list_errors_by_id(
    web: Parts, choice: Annotated[Choice, Query()], after: After = 0, limit: Limit = 100
) -> ErrorPage:
    """List failures of a stage, tagging unless the other one is named, with their raw texts."""
    equal = choice.model_dump(exclude={"kind"})
    kind = choice.kind or "tagging"
    with web.app.store.read() as connection:
        found = list_errors(connection, kind, limit=limit, after=after, **equal)
    return ErrorPage(found, found[-1].id if len(found) == limit else None)


@router.post("/retry")
def retry_errors(web: Parts, choice: Choice) -> Excused:
    """Have failed requests asked again, as if they had not been; answered ones are left alone."""
    equal = choice.model_dump(exclude={"kind"})
    kinds = [choice.kind] if choice.kind else KINDS
    now = web.app.services.now()
    with web.app.store.write() as connection:
        return Excused(sum(excuse_errors(connection, now, kind, **equal) for kind in kinds))
