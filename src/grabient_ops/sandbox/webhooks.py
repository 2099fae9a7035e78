"""Tells a webhook when a batch has ended, signed as OpenAI and Gemini do (Standard Webhooks)."""

import asyncio
import hmac
import json
import time
import urllib.request
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from urllib.error import URLError

from grabient_ops.errors import InputError
from grabient_ops.sandbox.core import Core, new_id
from grabient_ops.sandbox.lifecycle import Stage
from grabient_ops.sandbox.state import Batch

_LOOK_EVERY_S = 0.02
_TRIES = 5
_TIMEOUT_S = 5.0
_PATHS = {"openai": "openai", "google": "gemini"}
"""The other two have no webhooks for batches."""
_EVENTS = {
    "openai": {
        Stage.COMPLETED: "batch.completed", Stage.FAILED: "batch.failed",
        Stage.EXPIRED: "batch.expired", Stage.CANCELED: "batch.cancelled",
    },
    "google": {
        Stage.COMPLETED: "batch.succeeded", Stage.FAILED: "batch.failed",
        Stage.EXPIRED: "batch.expired", Stage.CANCELED: "batch.cancelled",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where webhooks go.

    Attributes:
        url: the address before `/openai` and `/gemini`.
        key: what signs them.
    """

    url: str
    key: bytes


def read_receiver(url: str, secret: str) -> Receiver:
    """Return what two options say.

    Raises:
        InputError: the address is none of the web, or the secret is none.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url!r} is no address to send webhooks to")
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise InputError("the secret of a webhook looks like whsec_ and base64")
    return Receiver(url.rstrip("/"), key)


async def announce_ends(core: Core, receiver: Receiver) -> None:
    """Send a webhook for every batch that ends from now on, until cancelled."""
    told = {batch.id for batch in core.state.all_batches() if core.progress(batch).stage.ended}
    sending: set[asyncio.Task[None]] = set()
    while True:
        for batch in core.state.all_batches():
            stage = core.progress(batch).stage
            if batch.id not in told and stage.ended and batch.provider in _PATHS:
                told.add(batch.id)
                task = asyncio.create_task(asyncio.to_thread(_send, receiver, batch, stage))
                sending.add(task)
                task.add_done_callback(sending.discard)
        await asyncio.sleep(_LOOK_EVERY_S)


def _send(receiver: Receiver, batch: Batch, stage: Stage) -> None:
    """Send one, a few times if need be; whoever gets none has to poll."""
    url = f"{receiver.url}/{_PATHS[batch.provider]}"
    body = json.dumps({
        "id": new_id("evt_"), "object": "event", "created_at": int(time.time()),
        "type": _EVENTS[batch.provider][stage], "data": {"id": batch.id},
    }).encode()  # fmt: skip
    message_id = new_id("wh_")
    for attempt in range(_TRIES):
        headers = _headers(receiver.key, message_id, body)
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - the same
                return
        except (URLError, OSError):
            time.sleep(0.1 * 2**attempt)


def _headers(key: bytes, message_id: str, body: bytes) -> dict[str, str]:
    moment = str(int(time.time()))
    signature = hmac.digest(key, f"{message_id}.{moment}.".encode() + body, sha256)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{b64encode(signature).decode()}",
    }
