"""What goes wrong on purpose: faults by name, each with a rate, drawn in a repeatable order."""

from collections.abc import Mapping
from hashlib import blake2b

from grabient_ops.errors import InputError
from grabient_ops.sandbox.state import State

CALL_FAULTS: Mapping[str, str] = {
    "rate_limit": "any call: 429 with retry-after: 1, nothing done",
    "server_error": "any call: 500, nothing done",
    "unavailable": "any call: 503, nothing done",
    "slow": "any call: the answer comes 2 s late",
    "truncated_download": "results: half of the announced bytes, then the connection closes",
    "accept_then_drop": "batch creation: accepted, then the connection closes without an answer",
    "accept_then_500": "batch creation: accepted, then 500",
}
"""Drawn at every call that the fault can hit."""

BATCH_FAULTS: Mapping[str, str] = {
    "queue_full": "OpenAI, Groq: fails with token_limit_exceeded; others: 429 at creation",
    "reject": "fails validation, nothing runs (Anthropic: every request errored)",
    "expire": "expires with 60 % answered (Gemini: no results at all)",
    "stuck": "stays in progress at 30 % until it is cancelled",
    "half_failed": "every second request fails on the provider's side",
    "rejected_lines": "two requests are refused with 400 inside the error file",
    "missing_ids": "one in five requests is in no file and not billed",
    "duplicate_ids": "one in five results comes twice",
    "reorder": "results are shuffled",
    "unknown_ids": "two results with ids that nobody sent are added",
    "malformed_line": "a garbage line is added and the first result's line is torn",
    "empty_error_file_id": 'OpenAI and Groq: error_file_id is "" instead of null',
    "empty_output": "completed without output: all requests in the error file, or no rows at all",
    "read_after_write_404": "unknown to retrieve and list for 1 s after its creation",
    "poll_500": "the first five polls answer 500",
}
"""Drawn once, when the batch is created; the batch keeps them for life, over restarts too."""

FAULTS: Mapping[str, str] = {**CALL_FAULTS, **BATCH_FAULTS}


class Faults:
    """Current rates, and the draws.

    The n-th draw of a fault depends only on seed, name and n; n is kept in the state. A rate of 1
    always fires, 0 never does and draws nothing.
    """

    def __init__(self, state: State, seed: int, rates: Mapping[str, float]) -> None:
        self._state = state
        self._seed = seed
        self.rates: dict[str, float] = {}
        self.change(rates)

    def change(self, rates: Mapping[str, float]) -> None:
        """Set some rates; the others stay.

        Raises:
            InputError: an unknown name, or a rate outside 0..1; then nothing is changed.
        """
        for name, rate in rates.items():
            _check(name, rate)
        self.rates.update(rates)

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
            rates[name] = float(rate or 1)
        except ValueError as error:
            raise InputError(f"fault {name}: {rate!r} is not a rate between 0 and 1") from error
        _check(name, rates[name])
    return rates


def _check(name: str, rate: float) -> None:
    if name not in FAULTS:
        raise InputError(f"unknown fault {name!r}; known are: {', '.join(sorted(FAULTS))}")
    if not 0 <= rate <= 1:
        raise InputError(f"fault {name}: {rate!r} is not a rate between 0 and 1")
