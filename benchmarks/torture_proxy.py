"""A network that can be cut: a TCP proxy between two parties that resets, refuses and stalls."""

import asyncio
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16
_READY_S = 10.0
_RESET = struct.pack("ii", 1, 0)


class Trouble(Enum):
    """What is wrong with the line."""

    NONE = "works"
    RESET = "every connection is reset, new ones are welcome"
    REFUSED = "every connection is reset, new ones too"
    STALLED = "nothing arrives, and nobody is told"
    DEAF = "what is asked arrives, what is answered does not; then a reset"


class Proxy:
    """Passes connections on to a target for as long as the line works.

    Attributes:
        port: where it listens on loopback.
    """

    def __init__(self, target: Path | tuple[str, int]) -> None:
        self.port = 0
        self._target = target
        self._trouble = Trouble.NONE
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        if not self._ready.wait(_READY_S):
            raise TimeoutError("the proxy did not start")

    def hurt(self, trouble: Trouble, seconds: float) -> None:
        """Have the line be bad for so long; afterwards it works."""
        self._loop.call_soon_threadsafe(self._set, trouble)
        time.sleep(0 if trouble is Trouble.RESET else seconds)
        self._loop.call_soon_threadsafe(self._set, Trouble.NONE)

    def close(self) -> None:
        """Hang up on everybody."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        self._flows.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        self._flows.set()
        self._reset()
        if self._serving:
            await asyncio.wait(self._serving, timeout=_READY_S)

    def _set(self, trouble: Trouble) -> None:
        if self._trouble is Trouble.DEAF or trouble in {Trouble.RESET, Trouble.REFUSED}:
            self._reset()
        self._trouble = trouble
        if trouble is Trouble.STALLED:
            self._flows.clear()
        else:
            self._flows.set()

    def _reset(self) -> None:
        for writer in self._open:
            if writer.is_closing():
                continue
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        self._open.add(writer)
        if self._trouble is Trouble.REFUSED:
            self._reset()
            return
        try:
            await self._pass_on(reader, writer)
        except OSError:
            writer.close()  # the target is not there
        self._open.discard(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._connect()
        self._open.add(far_writer)
        await asyncio.gather(
            self._pump(reader, far_writer, is_answer=False),
            self._pump(far_reader, writer, is_answer=True),
        )
        self._open.discard(far_writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await self._flows.wait()
                if not (is_answer and self._trouble is Trouble.DEAF):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass  # reset by us, or by one of the two
        finally:
            writer.close()


@contextmanager
def proxied(target: Path | tuple[str, int]) -> Iterator[Proxy]:
    """Stand before a target: an address, or the path of a socket."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


def hurt_at_random(
    proxy: Proxy, chance: random.Random, times: int, longest_s: float, is_over: Callable[[], bool]
) -> dict[str, int]:
    """Hurt a line again and again; return how often in which way."""
    counts: dict[str, int] = {}
    kinds = [trouble for trouble in Trouble if trouble is not Trouble.NONE]
    for turn in range(times):
        time.sleep(chance.uniform(0.1, 1.0))
        if is_over():
            break
        trouble = kinds[turn % len(kinds)]
        proxy.hurt(trouble, chance.uniform(0.2, longest_s))
        counts[trouble.name.lower()] = counts.get(trouble.name.lower(), 0) + 1
    return counts
