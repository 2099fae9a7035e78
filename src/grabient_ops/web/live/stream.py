"""The stream of one page: an event per update, resumed where the browser left off."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

from grabient_ops.web.live.events import PING, version_of
from grabient_ops.web.live.hub import Hub
from grabient_ops.web.live.panel import Wanted

PING_S: Final = 15.0


async def follow(
    hub: Hub,
    wanted: Sequence[Wanted],
    last_event_id: str,
    is_welcome: Callable[[], Awaitable[bool]],
) -> AsyncGenerator[bytes]:
    """Yield what a page lacks, now and whenever that grows, until the hub closes.

    A viewer that is slow gets fewer and larger events: what it missed is merged.

    Args:
        hub: the hub.
        wanted: what the page shows.
        last_event_id: what the page has seen, as `<epoch>:<version>[:...]`; "" for nothing.
        is_welcome: asked with every ping; the stream ends when it says no.
    """
    with hub.following(wanted) as views:
        await hub.look(wanted, patience_s=0)
        version = version_of(last_event_id, hub.epoch)
        while not hub.is_closed:
            event = hub.event(views, version)
            version = hub.version
            if event:
                yield event
            elif not await hub.until_moved(version, PING_S):
                if not await is_welcome():
                    return
                yield PING
