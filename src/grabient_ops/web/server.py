"""Runs the dashboard on a socket, with a worker beside it, until a signal."""

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from typing_extensions import override

from grabient_ops.app import App
from grabient_ops.errors import InputError
from grabient_ops.pipeline.process import leave
from grabient_ops.web.app import NO_WORKER, create_web
from grabient_ops.web.live.hub import Hub
from grabient_ops.web.security.policy import Policy
from grabient_ops.web.worker import WorkerThread

_GRACE_S = 5
_WORKER_GRACE_S = 2.0


class _Server(uvicorn.Server):
    """Says when it is ready, and lets streams end when it is asked to stop.

    Idle streams notice nothing of a shutdown; the server would wait for them for ever.
    """

    def __init__(self, config: uvicorn.Config, hub: Hub, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._hub = hub
        self._on_ready = on_ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._hub.close()

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket; port 0 takes a free one.

    Raises:
        InputError: the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # With its protocol number, or asyncio leaves Nagle's algorithm on: 40 ms per update.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise InputError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def serve(
    app: App,
    listener: socket.socket,
    *,
    policy: Policy,
    with_worker: bool,
    on_ready: Callable[[], None],
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: the home's parts.
        listener: a bound socket; see `listen`.
        policy: where it is reached from.
        with_worker: work as well, whenever no other process works on this home.
        on_ready: called once, when requests are answered.

    A worker that lost its lease, or that failed at work, ends the process with status 1.

    Raises:
        ConfigError: others could reach it, and it has no password.
    """
    worker = WorkerThread(app) if with_worker else None
    web = create_web(app, (lambda: worker.state) if worker else lambda: NO_WORKER, policy)
    hub: Hub = web.state.web.hub
    config = uvicorn.Config(
        web, ws="none", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=_GRACE_S,
    )  # fmt: skip
    server = _Server(config, hub, on_ready)
    asyncio.run(_run(server, listener, worker, hub))
    if worker and worker.state.state == "broken":
        leave(1, f"error: {worker.state.why}; start again to go on")
    if worker and worker.stop(_WORKER_GRACE_S):
        leave(0)


async def _run(
    server: _Server, listener: socket.socket, worker: WorkerThread | None, hub: Hub
) -> None:
    if worker is not None:
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(partial(hub.touch, ["worker"]))
            if worker.state.state == "broken":
                loop.call_soon_threadsafe(server.handle_exit, signal.SIGTERM, None)

        worker.start(tell)
    await server.serve(sockets=[listener])
