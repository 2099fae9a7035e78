"""What goes wrong on purpose: faults by name, each with a rate, drawn in a repeatable order."""

from collections.abc import Mapping
from hashlib import blake2b

from grabient_ops.errors import InputError
from grabient_ops.sandbox.fault_names import BATCH_FAULTS, FAULTS
from grabient_ops.sandbox.state import State


class Faults:
    """Current rates, and the draws.

    The n-th draw of a fault depends only on seed, name and n; n is kept in the state. A rate of 1
    always fires, 0 never does and draws nothing.
    """

    def __init__(self, state: State, seed: int, rates: Mapping[str, float]) -> None:
        self._state = state
        self._seed = seed
        self.rates = dict(rates)

    def change(self, rates: Mapping[str, object]) -> None:
        """Set some rates; the others stay.

        Raises:
            InputError: an unknown name, or a rate outside 0..1; then nothing is changed.
        """
        self.rates |= {name: _rate(name, rate) for name, rate in rates.items()}

    def fires(self, name: str) -> bool:
        """Draw one fault."""
        rate = self.rates.get(name, 0.0)
        if rate <= 0:
            return False
        turn = self._state.count(f"fault {name}")
        digest = blake2b(f"{self._seed} {name} {turn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < rate * 2**64

    def draw_for_batch(self) -> tuple[str, ...]:
        """Draw every fault that a new batch keeps for life."""
        return tuple(name for name in BATCH_FAULTS if self.fires(name))


def parse_faults(texts: list[str]) -> dict[str, float]:
    """Read `NAME=RATE` options; a bare `NAME` means always.

    Raises:
        InputError: lists the known names when one is unknown.
    """
    rates: dict[str, float] = {}
    for text in texts:
        name, _, rate = text.partition("=")
        try:
            rates[name] = _rate(name, float(rate or 1))
        except ValueError as error:
            raise InputError(f"fault {name}: {rate!r} is not a rate between 0 and 1") from error
    return rates


def _rate(name: str, rate: object) -> float:
    if name not in FAULTS:
        raise InputError(f"unknown fault {name!r}; known are: {', '.join(sorted(FAULTS))}")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise InputError(f"fault {name}: {rate!r} is not a rate between 0 and 1")
    return float(rate)
