"""Sends a stream of events, and notices at once when the browser has gone."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override


class EventStream(Response):
    """`text/event-stream`; the events are closed when the browser hangs up."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        async with anyio.create_task_group() as group:

            async def first_of(act: Callable[[], Awaitable[None]]) -> None:
                await act()
                group.cancel_scope.cancel()

            async def pump() -> None:
                async with contextlib.aclosing(self._events):
                    await self._send_all(send)

            group.start_soon(first_of, pump)
            await first_of(lambda: _until_gone(receive))

    async def _send_all(self, send: Send) -> None:
        with contextlib.suppress(OSError):  # it hung up while we were writing
            # The browser's promise of a stream is fulfilled by its first byte.
            await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
