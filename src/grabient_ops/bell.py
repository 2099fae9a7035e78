"""Wakes whoever follows the store: on PostgreSQL every commit that announces something rings.

The rows that are announced are the truth; a ring only says that it is worth to look now. A
connection that was lost is made again, and its making rings, for nobody knows what was missed.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

import structlog
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from psycopg import AsyncConnection

log = structlog.get_logger(__name__)

CHANNEL = "grabient_ops_changes"
"""What to LISTEN to: a transaction that has announced something notifies it when it commits."""
_NAME = "grabient-ops bell"
_CONNECT_S = 10
_LISTEN_S = 10.0
_RETRY_S = 1.0
_CLOSE_S = 2.0


class Bell:
    """What one thread waits for between two looks; anybody may ring. Use it as a context manager.

    Attributes:
        hears: whether commits ring it, in whichever process; else one has to look often.
    """

    def __init__(self, url: str) -> None:
        """Make a bell for the store at a SQLAlchemy URL."""
        self.hears = url.startswith("postgresql")
        self._url = url
        # Not an Event: `ring` is for signal handlers too, and its lock is not.
        self._rings: SimpleQueue[None] = SimpleQueue()
        self._opened = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self.hears:
            listening = self._listen_until_closed
            self._thread = threading.Thread(target=lambda: asyncio.run(listening()), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None and self._opened.wait(_CLOSE_S):
            self._loop.call_soon_threadsafe(self._closed.set)
            self._thread.join(_CLOSE_S)

    def ring(self) -> None:
        """End the wait that is under way, or the next one."""
        if self._rings.empty():
            self._rings.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, for so long at most; return whether there was one."""
        try:
            self._rings.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        return True

    async def _listen_until_closed(self) -> None:
        self._loop, self._closed = asyncio.get_running_loop(), asyncio.Event()
        self._opened.set()
        listening = asyncio.create_task(listen(self._url, self.ring))
        await self._closed.wait()
        listening.cancel()
        await asyncio.wait({listening})


async def listen(url: str, ring: Callable[[], None]) -> None:
    """Ring at every announcement until cancelled; connect again when hung up on.

    Args:
        url: SQLAlchemy URL of a store on PostgreSQL.
        ring: called on the event loop; also after each connection, and every ten seconds.
    """
    import psycopg

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    is_told = False
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(
                plain, autocommit=True, connect_timeout=_CONNECT_S, application_name=_NAME
            )
            async with connection:
                # What comes together with an answer would be kept for ever without a handler.
                connection.add_notify_handler(lambda _: ring())
                await connection.execute(f"LISTEN {CHANNEL}")
                is_told = False
                while True:
                    ring()
                    if await _has_news(connection):
                        continue
                    # A server that has vanished without a word says nothing here either.
                    async with asyncio.timeout(_LISTEN_S):
                        await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError) as error:
            if not is_told:
                log.warning("the store cannot be listened to", error=str(error))
            is_told = True
        await asyncio.sleep(_RETRY_S)


async def _has_news(connection: "AsyncConnection") -> bool:
    """Wait for notifications; psycopg's own waiting looks ten times a second."""
    readable = asyncio.Event()
    loop, socket = asyncio.get_running_loop(), connection.fileno()
    loop.add_reader(socket, readable.set)
    try:
        async with asyncio.timeout(_LISTEN_S):
            await readable.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(socket)
    connection.pgconn.consume_input()
    while connection.pgconn.notifies():
        pass  # the rows say what is new
    return True
