"""The SQL console: one SELECT over the warehouse, in a process that can do nothing else."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from grabient_ops.analytics.console import Limits, Table, run_query
from grabient_ops.analytics.sync import sync
from grabient_ops.web.api.route import ApiRoute, problems
from grabient_ops.web.api.warehouse import few_at_once
from grabient_ops.web.api.words import LongText
from grabient_ops.web.parts import Parts

router = APIRouter(tags=["sql"], route_class=ApiRoute)


class Query(BaseModel):
    """One SELECT, and what it may use."""

    sql: LongText
    rows: Annotated[int, Field(ge=1, le=10_000)] = 1000
    timeout_s: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = 10.0


@router.post("/sql", responses=problems(409))
def run_sql(web: Parts, query: Query) -> Table:
    """Run one SELECT over the warehouse, which is brought up to date first."""
    app = web.app
    limits = Limits(rows=query.rows, timeout_s=query.timeout_s, answer_mb=16)
    with few_at_once():
        sync(app.lake, app.settings.store_url)
        return run_query(app.lake, query.sql, limits=limits)
