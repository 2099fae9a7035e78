"""Opens the warehouse for a request: up to date, and for a few at once only."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends

from grabient_ops.analytics.warehouse import EmptyLakeError, Warehouse
from grabient_ops.web.parts import Parts

_few = threading.BoundedSemaphore(2)
"""Each question may take every core, and a good part of the memory."""


@contextmanager
def few_at_once() -> Iterator[None]:
    """Let only a few requests do heavy work at the same time."""
    with _few:
        yield


def _open(web: Parts) -> Iterator[Warehouse]:
    with _few, web.app.warehouse() as warehouse:
        if not warehouse.connection.execute("SELECT ok FROM responses LIMIT 1").fetchall():
            raise EmptyLakeError("there are no answers yet; `grabient-ops tag` asks for some")
        yield warehouse


OpenWarehouse = Annotated[Warehouse, Depends(_open)]
"""Write `warehouse: OpenWarehouse` in an endpoint's signature."""
