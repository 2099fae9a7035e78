"""Decides when a followed deployment is asked again, and what a failure means."""

from collections.abc import Callable

import structlog

from grabient_ops.errors import RateLimitedError, UnavailableError
from grabient_ops.importers.convex.http import Pause
from grabient_ops.pipeline.pushing import Pusher
from grabient_ops.pipeline.syncing import Syncer

log = structlog.get_logger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
_SLOWER = 1.5


def catch_up(syncer: Syncer, pusher: Pusher | None, pause: Pause, show: Callable[[], None]) -> None:
    """Read until there is nothing more at the moment, then give back what is new.

    Args:
        syncer: what reads and stores.
        pusher: what gives back; None to keep everything to oneself.
        pause: waits; True when it is to end.
        show: called after each page.

    Raises:
        ProviderError: the deployment does not answer, or refuses to.
    """
    while not _read_page(syncer, show) and not pause(0):
        pass
    if pusher and not pause(0):
        pusher.push(lambda: pause(0))


def follow(syncer: Syncer, pusher: Pusher | None, pause: Pause, show: Callable[[], None]) -> None:
    """Do so again and again until `pause` says that it is to end.

    The wait is one second after news, and grows to half a minute while there are none. A deployment
    that does not answer is asked again; one that refuses is not.

    Raises:
        ProviderError: it refuses.
    """
    wait_s = _FIRST_WAIT_S
    while not pause(0):
        before = syncer.changes
        try:
            catch_up(syncer, pusher, pause, show)
        except (RateLimitedError, UnavailableError) as error:
            log.warning("the deployment does not answer", error=str(error))
            wait_s = _LONGEST_WAIT_S / _SLOWER
        else:
            wait_s = _FIRST_WAIT_S if syncer.changes > before else wait_s
        if pause(wait_s):
            return
        wait_s = min(wait_s * _SLOWER, _LONGEST_WAIT_S)


def _read_page(syncer: Syncer, show: Callable[[], None]) -> bool:
    is_current = syncer.step().is_current
    show()
    return is_current
