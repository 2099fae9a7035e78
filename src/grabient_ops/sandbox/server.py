"""Runs the sandbox: one process on one socket, until a signal or the death of its parent."""

import asyncio
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from grabient_ops.errors import InputError
from grabient_ops.sandbox.app import SandboxApp
from grabient_ops.sandbox.core import Core
from grabient_ops.sandbox.faults import Faults
from grabient_ops.sandbox.http import HANG_UP
from grabient_ops.sandbox.state import State
from grabient_ops.sandbox.webhooks import Receiver, announce_ends

_WATCH_S = 0.25
_HEAVY = "grabient_ops.sandbox.results"
"""What only downloads need; imported after the start, so that the start is quick."""


class _Protocol(H11Protocol):
    """HTTP/1.1 whose application may close the connection without an answer."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self.app = _with_hang_up(self.app, transport)


class _Server(uvicorn.Server):
    """Says when it is ready, and returns on a signal, so that its caller can clean up."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
        asyncio.get_running_loop().run_in_executor(None, import_module, _HEAVY)

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


class Setup(NamedTuple):
    """What a sandbox is like.

    Attributes:
        seed: decides answers and faults.
        latency_s: seconds from a batch's creation to its end.
        rates: fault rates to begin with.
        state: SQLite file that survives a restart, made when missing; None forgets at the end.
        receiver: who is told by webhooks that a batch has ended.
    """

    seed: int
    latency_s: float
    rates: Mapping[str, float]
    state: Path | None
    receiver: Receiver | None


def serve(
    listener: socket.socket,
    setup: Setup,
    *,
    on_ready: Callable[[], None],
    watch_parent: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        listener: a bound socket; see `listen`.
        setup: what the sandbox is like.
        on_ready: called once, when requests are accepted.
        watch_parent: end when the parent process ends.
    """
    seed = setup.seed
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="sandbox-"))
        memory = _remember(setup.state or Path(folder) / "state")
        stack.callback(memory.close)
        faults = Faults(memory, seed, setup.rates)
        core = Core(memory, faults, seed=seed, latency_s=setup.latency_s)
        beside = [announce_ends(core, setup.receiver)] if setup.receiver else []
        asyncio.run(_run(SandboxApp(core), listener, on_ready, beside, watch_parent=watch_parent))


def _remember(path: Path) -> State:
    try:
        return State(path)
    except (sqlite3.Error, OSError) as error:
        raise InputError(f"nothing can be remembered in {path}: {error}") from error


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket; port 0 takes a free one.

    Raises:
        InputError: the address cannot be used.
    """
    try:
        listener = socket.create_server((host, port), backlog=256)
    except OSError as error:
        raise InputError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    # Inherited by connections. asyncio sets it only where the protocol number is given, which
    # create_server does not do; without it every answer waits 40 ms for the client's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _run(
    app: ASGIApp,
    listener: socket.socket,
    on_ready: Callable[[], None],
    beside: Sequence[Coroutine[Any, Any, None]],
    *,
    watch_parent: bool,
) -> None:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, on_ready)
    watch = [_end_with_parent(server)] if watch_parent else []
    tasks = [asyncio.create_task(work) for work in (*beside, *watch)]
    await server.serve(sockets=[listener])
    for task in tasks:
        task.cancel()


async def _end_with_parent(server: uvicorn.Server) -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells nobody but a poll
        await asyncio.sleep(_WATCH_S)
    server.should_exit = True


def _with_hang_up(app: ASGIApp, transport: asyncio.BaseTransport) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {HANG_UP: transport.close}}, receive, send)

    return call
