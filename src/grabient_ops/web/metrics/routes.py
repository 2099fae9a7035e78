"""`/metrics`, `/healthz` and `/readyz`."""

import threading
import time

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse, Response

from grabient_ops.errors import StoreError
from grabient_ops.logs import scrub
from grabient_ops.store.changes import latest
from grabient_ops.web.metrics.exposition import MEDIA_TYPE, write
from grabient_ops.web.metrics.figures import read_figures
from grabient_ops.web.metrics.timing import Timed, Timings
from grabient_ops.web.parts import Parts, Web

_FRESH_S = 2.0


class _Figures:
    """Reads the figures, not more often than somebody can want them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._text = ""
        self._until = 0.0

    def text(self, web: Web) -> str:
        """Return them as text."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._text = write(read_figures(web))
                self._until = time.monotonic() + _FRESH_S
            return self._text


def add_metrics(web: FastAPI) -> None:
    """Serve the figures, and time every answer from here inwards."""
    router = APIRouter(include_in_schema=False)
    timings, figures = Timings(), _Figures()

    @router.get("/metrics")
    def metrics(web: Parts) -> Response:
        text = figures.text(web) + write([timings.family()])
        return Response(text, media_type=MEDIA_TYPE)

    @router.get("/healthz")
    async def is_alive() -> PlainTextResponse:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    @router.get("/readyz")
    def is_ready(web: Parts) -> PlainTextResponse:
        """Whether the store can be read."""
        try:
            with web.app.store.read() as connection:
                latest(connection)
        except StoreError as error:
            return PlainTextResponse(scrub(f"{error}\n"), 503)
        return PlainTextResponse("ok\n")

    web.include_router(router)
    web.add_middleware(Timed, timings=timings)
