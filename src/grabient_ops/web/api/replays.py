"""Remembers the answers to commands by their idempotency keys, over restarts too."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from weakref import WeakValueDictionary

from fastapi import Request, Response
from sqlalchemy.engine import Connection
from starlette.concurrency import run_in_threadpool

from grabient_ops.store.engine import Store
from grabient_ops.store.notes import drop_note, get_note, list_notes, set_note
from grabient_ops.web.problems import problem

HEADER = "idempotency-key"
REPLAYED = "idempotent-replayed"
_KEPT_FOR = timedelta(days=1)
_PREFIX = "replay "
_MOST_KEY = 200


class Replays:
    """The answers of the last day, in the store; commands themselves may be repeated safely.

    So what a crash takes between a command and its answer costs nothing: it is done again.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, request: Request) -> AbstractAsyncContextManager[object]:
        """Wait for the end of a command with the same key that is being done in this process."""
        key = request.headers.get(HEADER)
        return self._turns.setdefault(key, asyncio.Lock()) if key else nullcontext()

    async def find(self, request: Request) -> Response | None:
        """Return the former answer to a command, or a refusal; None when it is to be done."""
        key = request.headers.get(HEADER, "")
        if len(key) > _MOST_KEY:
            return problem(400, f"An idempotency key has at most {_MOST_KEY} characters.")
        note = await run_in_threadpool(self._load, key) if key else None
        if note is None:
            return None
        if note["command"] != await _command(request):
            return problem(422, "This idempotency key was used for another command.")
        headers = {"content-type": note["type"], REPLAYED: "true"}
        return Response(note["body"], note["status"], headers)

    async def keep(self, request: Request, answer: Response) -> None:
        """Remember the answer to a command, unless it may go better the next time."""
        key = request.headers.get(HEADER)
        if not key or answer.status_code >= 500:
            return
        note = {
            "at": self._now().isoformat(),
            "command": await _command(request),
            "status": answer.status_code,
            "type": answer.headers.get("content-type", ""),
            "body": bytes(answer.body).decode(),
        }
        await run_in_threadpool(self._save, key, json.dumps(note))

    def _load(self, key: str) -> dict[str, Any] | None:
        with self._store.read() as connection:
            text = get_note(connection, _name(key))
        note: dict[str, Any] | None = None if text is None else json.loads(text)
        return note if note and self._is_young(note) else None

    def _save(self, key: str, note: str) -> None:
        with self._store.write() as connection:
            self._sweep(connection)
            set_note(connection, _name(key), note)

    def _sweep(self, connection: Connection) -> None:
        for name, text in list_notes(connection, _PREFIX).items():
            if not self._is_young(json.loads(text)):
                drop_note(connection, name)

    def _is_young(self, note: dict[str, Any]) -> bool:
        return self._now() - datetime.fromisoformat(note["at"]) < _KEPT_FOR


def _name(key: str) -> str:
    return _PREFIX + sha256(key.encode(errors="surrogatepass")).hexdigest()


async def _command(request: Request) -> str:
    return sha256(f"{request.url.path}\n".encode() + await request.body()).hexdigest()
