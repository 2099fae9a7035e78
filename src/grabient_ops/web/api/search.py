"""Search: refined palettes by meaning."""

from typing import Annotated

from fastapi import APIRouter, Query

from grabient_ops.analytics.search.index import Hit
from grabient_ops.web.api.route import ApiRoute, problems
from grabient_ops.web.api.words import Limit, Seed, Text
from grabient_ops.web.parts import Parts

router = APIRouter(tags=["search"], route_class=ApiRoute, responses=problems(409))


@router.get("/search")
def search(
    web: Parts,
    q: Annotated[Text, Query(min_length=1, description="What it should be like.")],
    limit: Limit = 10,
) -> list[Hit]:
    """Find refined palettes by meaning, the closest first."""
    with web.read() as reading:
        return reading.finder.search(reading.connection, q, limit)


@router.get("/palettes/{seed}/neighbours")
def list_neighbours(web: Parts, seed: Seed, limit: Limit = 10) -> list[Hit]:
    """List the refined palettes closest in meaning to a palette; none when it is not refined."""
    with web.read() as reading:
        return reading.finder.neighbours(reading.connection, seed, limit)
