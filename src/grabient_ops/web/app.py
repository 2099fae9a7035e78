"""Builds the dashboard: its parts, its pages, and what follows the data while it runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import APIRouter, FastAPI

from grabient_ops.app import App
from grabient_ops.web.api.build import add_api
from grabient_ops.web.api.replays import Replays
from grabient_ops.web.assets import Assets
from grabient_ops.web.auth.build import add_gate, open_door
from grabient_ops.web.failures import handle_failures
from grabient_ops.web.live.hub import Hub
from grabient_ops.web.live.lane import Readers
from grabient_ops.web.live.reading import ReadingRoom
from grabient_ops.web.live.watch import watch_home
from grabient_ops.web.metrics.routes import add_metrics
from grabient_ops.web.once import Once
from grabient_ops.web.page import add_page
from grabient_ops.web.pages import ACTIONS, NAVIGATION, PAGES
from grabient_ops.web.parts import Web
from grabient_ops.web.rendering import Renderer
from grabient_ops.web.security.guard import GuardedApp
from grabient_ops.web.security.policy import LOCAL, Policy
from grabient_ops.web.templating import Templates
from grabient_ops.web.webhooks import create_webhooks
from grabient_ops.web.worker import WorkerState

log = structlog.get_logger(__name__)

NO_WORKER = WorkerState("none", "this server was started without a worker")


def create_web(
    app: App,
    worker: Callable[[], WorkerState] = lambda: NO_WORKER,
    policy: Policy = LOCAL,
) -> FastAPI:
    """Build the dashboard of a home; its parts are at `state.web`.

    Args:
        app: the home's parts.
        worker: says who works on the home; touch the topic `worker` of the hub when that changes.
        policy: where it is reached from.

    Raises:
        ConfigError: it was installed without its scripts, or others could reach it and it has no
            password.
    """
    assets = Assets()
    once = Once()
    door = open_door(app, policy)
    templates = Templates(
        asset=assets.address, navigation=NAVIGATION, new_key=once.new_key, door=door
    )
    renderer = Renderer(templates)
    room = ReadingRoom(app, worker)
    hub = Hub(Readers(room.open, renderer.show, renderer.show_failure))
    web = Web(app, hub, templates, room.open, once)
    api = GuardedApp(docs_url=None, redoc_url=None, lifespan=partial(_lifespan, web))
    api.policy = policy
    api.state.web = web
    api.mount("/static", assets, name="static")
    api.include_router(_pages())
    add_api(api, Replays(app.store, app.services.now))
    api.include_router(create_webhooks(app))
    add_gate(api, door)
    add_metrics(api)
    handle_failures(api, web)
    return api


def _pages() -> APIRouter:
    router = APIRouter()
    for page in PAGES:
        add_page(router, page)
    for actions in ACTIONS:
        router.include_router(actions)
    return router


@asynccontextmanager
async def _lifespan(web: Web, _api: FastAPI) -> AsyncIterator[None]:
    following = asyncio.create_task(_follow(web))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait({following})


async def _follow(web: Web) -> None:
    """Keep pages with the present; an error here is one of ours, and must be seen."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(web.hub.run())
            tasks.create_task(watch_home(web.app, web.hub.touch))
    except ExceptionGroup:
        log.exception("pages are no longer live; start the server again")
        raise
