"""Slows down guessing: after some wrong secrets an address must wait, and so must everybody."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

_WINDOW_S = 300.0
_PER_ADDRESS = 5
_IN_ALL = 50
_MOST_ADDRESSES = 10_000


class Throttle:
    """Counts failures of the last minutes; it forgets with the process, and never grows large."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: deque[float] = deque(maxlen=_IN_ALL)
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return how long an address must wait before it may try; 0 when it may."""
        own = self._by_address.get(_network(address), deque())
        return max(self._wait_s(own, _PER_ADDRESS), self._wait_s(self._all, _IN_ALL), 0.0)

    def note_try(self, address: str) -> None:
        """Count a try as failed; `forgive` takes it back, so that many at once gain nothing."""
        network = _network(address)
        own = self._by_address.setdefault(network, deque(maxlen=_PER_ADDRESS))
        self._by_address.move_to_end(network)
        if len(self._by_address) > _MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        for tries in (own, self._all):
            tries.append(self._clock())

    def forgive(self, address: str) -> None:
        """Forget the failures of an address: it has given the right secret."""
        for moment in self._by_address.pop(_network(address), ()):
            if moment in self._all:
                self._all.remove(moment)

    def _wait_s(self, tries: deque[float], most: int) -> float:
        return tries[0] + _WINDOW_S - self._clock() if len(tries) >= most else 0.0


def _network(address: str) -> str:
    """One IPv6 customer has 2^64 addresses: they count as one."""
    try:
        number = ip_address(address)
    except ValueError:
        return address
    return str(int(number) >> 64) if isinstance(number, IPv6Address) else address
