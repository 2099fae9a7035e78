"""What every page and action may use; built once per server, in `web/app.py`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from grabient_ops.app import App
from grabient_ops.web.live.hub import Hub
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.once import Once
from grabient_ops.web.templating import Templates


@dataclass(frozen=True, slots=True)
class Web:
    """The parts of a running dashboard.

    Attributes:
        app: settings, store, services, journal.
        hub: what is followed live.
        templates: what pages are made of.
        read: begins a look at the present, for what is not followed live; blocks, so use it in a
            `def` endpoint or a thread.
        once: does what costs something once per idempotency key.
    """

    app: App
    hub: Hub
    templates: Templates
    read: Callable[[], AbstractContextManager[Reading]]
    once: Once


def _parts(request: Request) -> Web:
    parts: Web = request.app.state.web
    return parts


Parts = Annotated[Web, Depends(_parts)]
"""Write `web: Parts` in an endpoint's signature."""
