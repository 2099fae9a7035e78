"""Builds the dashboard: its parts, its pages, and what follows the data while it runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI

from grabient_ops.app import App
from grabient_ops.web.assets import Assets
from grabient_ops.web.live.hub import Hub
from grabient_ops.web.live.reading import ReadingRoom
from grabient_ops.web.live.watch import watch_home
from grabient_ops.web.page import add_page
from grabient_ops.web.pages import MODULES, NAVIGATION
from grabient_ops.web.parts import Web
from grabient_ops.web.rendering import Renderer
from grabient_ops.web.templating import Templates
from grabient_ops.web.worker import WorkerState

NO_WORKER = WorkerState("none", "this server was started without a worker")


def create_web(app: App, worker: Callable[[], WorkerState] = lambda: NO_WORKER) -> FastAPI:
    """Build the dashboard of a home; its parts are at `state.web`.

    Args:
        app: the home's parts.
        worker: says who works on the home; touch the topic `worker` of the hub when that changes.

    Raises:
        ConfigError: it was installed without its scripts.
    """
    assets = Assets()
    templates = Templates(asset=assets.address, navigation=NAVIGATION)
    renderer = Renderer(templates)
    room = ReadingRoom(app, worker)
    hub = Hub(room.open, renderer.show, renderer.show_failure)
    web = Web(app, hub, templates, room.open)
    api = FastAPI(
        title="grabient-ops", docs_url=None, redoc_url=None, lifespan=partial(_lifespan, web)
    )
    api.state.web = web
    api.mount("/static", assets, name="static")
    api.include_router(_pages())
    return api


def _pages() -> APIRouter:
    router = APIRouter()
    for module in MODULES:
        for page in module.PAGES:
            add_page(router, page)
        actions: APIRouter = getattr(module, "router", APIRouter())
        router.include_router(actions)
    return router


@asynccontextmanager
async def _lifespan(web: Web, _api: FastAPI) -> AsyncIterator[None]:
    following = asyncio.gather(web.hub.run(), watch_home(web.app, web.hub.touch))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
