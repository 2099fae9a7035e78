"""Measures how long answers take, by endpoint."""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grabient_ops.web.metrics.exposition import Family, Sample

_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_Key = tuple[str, str, str]


class Timings:
    """A histogram for each method, endpoint and status; used from the event loop only."""

    def __init__(self) -> None:
        self._counts: dict[_Key, list[int]] = defaultdict(lambda: [0] * (len(_BOUNDS_S) + 1))
        self._sums: dict[_Key, float] = defaultdict(float)

    def note(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (method, endpoint, str(status))
        self._counts[key][bisect_left(_BOUNDS_S, seconds)] += 1
        self._sums[key] += seconds

    def family(self) -> Family:
        """Return all histograms."""
        text = "Seconds until an answer began, by endpoint."
        return Family("http_seconds", "histogram", text, list(self._samples()))

    def _samples(self) -> Iterator[Sample]:
        bounds = [*(f"{bound:g}" for bound in _BOUNDS_S), "+Inf"]
        for key, counts in self._counts.items():
            labels = dict(zip(("method", "endpoint", "status"), key, strict=True))
            for bound, count in zip(bounds, accumulate(counts), strict=True):
                yield Sample(count, {**labels, "le": bound}, "_bucket")
            yield Sample(self._sums[key], labels, "_sum")
            yield Sample(sum(counts), labels, "_count")


class Timed:
    """The middleware that measures; streams count until they begin."""

    def __init__(self, app: ASGIApp, timings: Timings) -> None:
        self._app = app
        self._timings = timings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and time it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - started
                self._timings.note(scope["method"], _endpoint(scope), message["status"], seconds)
            await send(message)

        await self._app(scope, receive, noting)


def _endpoint(scope: Scope) -> str:
    """Return the endpoint's name: addresses would make a series of each palette."""
    name: str = getattr(scope.get("route"), "name", "")
    return name or ("static" if scope["path"].startswith("/static/") else "other")
