"""The last look before a creation: when the connection stands, right before bytes are sent.

Between a look by the caller and the first byte an SDK imports modules, builds the request and
connects. A process that is stopped meanwhile would send what others have long sent in its place.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

_BEFORE_BYTES = ("send_request_headers.started", "send_request_body.started")
_look: ContextVar[Callable[[], None] | None] = ContextVar("look", default=None)


class _Request(Protocol):
    """What `httpx.Request` and `httpx2.Request` have in common."""

    @property
    def extensions(self) -> MutableMapping[str, Any]:
        """What goes along with it to the transport."""


@contextmanager
def gated(look: Callable[[], None]) -> Iterator[None]:
    """Look before each request of this thread: before its head, and before its body.

    Args:
        look: returns when the bytes may go, now or after a while; raises when they must not.
    """
    token = _look.set(look)
    try:
        yield
    finally:
        _look.reset(token)


def through_gate(request: _Request) -> None:
    """Hook of an HTTP client, for its requests."""
    look = _look.get()
    if look is None:
        return

    def follow(event: str, _info: object) -> None:
        if event.endswith(_BEFORE_BYTES):
            look()

    request.extensions["trace"] = follow
