"""Does what costs something once, however often the browser asks for the same."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from grabient_ops.errors import InputError

T = TypeVar("T")
_REMEMBERED = 1000


class Once:
    """Remembers outcomes by idempotency key; a second asker waits for the first one's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: OrderedDict[str, Future[Any]] = OrderedDict()

    @staticmethod
    def new_key() -> str:
        """Return a key for a form."""
        return secrets.token_urlsafe(16)

    def __call__(self, key: str, act: Callable[[], T]) -> T:
        """Act, or return what came of it when the key was new; a failure may be tried again.

        Raises:
            InputError: there is no key.
        """
        if not key:
            raise InputError("the request has no idempotency key; load the page again")
        with self._lock:
            known = self._outcomes.get(key)
            outcome: Future[T] = known or Future()
            self._outcomes.setdefault(key, outcome)
            while len(self._outcomes) > _REMEMBERED:
                self._outcomes.popitem(last=False)
        if known is None:
            self._act(key, act, outcome)
        return outcome.result()

    def _act(self, key: str, act: Callable[[], T], outcome: "Future[T]") -> None:
        try:
            outcome.set_result(act())
        except BaseException as error:
            with self._lock:
                self._outcomes.pop(key, None)
            outcome.set_exception(error)
            raise
