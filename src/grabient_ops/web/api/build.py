"""Puts the API together, and describes it to OpenAPI."""

from typing import Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer

from grabient_ops import __version__
from grabient_ops.web.api import (
    analytics,
    batches,
    console,
    costs,
    failures,
    models,
    orders,
    palettes,
    prompts,
    search,
    status,
    workflows,
)
from grabient_ops.web.api.replays import Replays
from grabient_ops.web.api.route import ApiRoute, Problem, problems

PREFIX = "/api/v1"
_DESCRIPTION = """What the command line says with `--json`, over HTTP. Changes need a token
(`grabient-ops auth token`), and so does everything once the dashboard has a password or can be
reached by others. A command with an `Idempotency-Key` is done once, however often it is sent."""
_MODULES = (
    status, palettes, search, batches, workflows, failures, prompts, models, orders, costs,
    analytics, console,
)  # fmt: skip


def add_api(web: FastAPI, replays: Replays) -> None:
    """Serve the API under `/api/v1`, and its description at `/openapi.json`.

    Args:
        web: the app.
        replays: what was answered to commands before.
    """
    web.state.replays = replays
    # The gate has asked for the token before; this is what the document says about it.
    bearer = HTTPBearer(auto_error=False, description="As `grabient-ops auth token` prints it.")
    api = APIRouter(
        prefix=PREFIX,
        route_class=ApiRoute,
        dependencies=[Security(bearer)],
        responses=problems(400, 401, 403, 413, 414, 422, 503),
    )
    for module in _MODULES:
        api.include_router(module.router)
    web.include_router(api)

    def describe() -> dict[str, Any]:
        if web.openapi_schema is None:
            web.openapi_schema = _describe(web)
        return web.openapi_schema

    web.openapi = describe  # type: ignore[method-assign]  # as FastAPI documents it


def _describe(web: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="grabient-ops", version=__version__, description=_DESCRIPTION, routes=web.routes
    )
    problem = Problem.model_json_schema()
    document["components"]["schemas"]["Problem"] = problem
    return document
