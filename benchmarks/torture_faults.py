"""Eight faults on four providers: a pass of ten palettes under each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arena import Home, Sandbox, kill_hard, start_sandbox

PALETTES = 10
MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5-20251001",
    "google": "gemini-2.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
}


@dataclass(frozen=True)
class Fault:
    """One way to break a pass.

    Attributes:
        label: as `peers.md` of the field study names it.
        name: the sandbox's fault, "" when the breaking is done from outside.
        lasts: False when the fault is lifted after the first batch has met it.
    """

    label: str
    name: str
    lasts: bool = True


FAULTS = (
    Fault("kill -9", "slow"),
    Fault("lost", "accept_then_drop"),
    Fault("500acc", "accept_then_500"),
    Fault("expire", "expire", lasts=False),
    Fault("missing", "missing_ids", lasts=False),
    Fault("rejected", "rejected_lines", lasts=False),
    Fault("dup", "duplicate_ids"),
    Fault("5x 500 on poll", "poll_500"),
)


@dataclass(frozen=True)
class Outcome:
    """What a pass cost and brought, by the sandbox's ledger and by our store.

    Attributes:
        batches: batches that the provider accepted.
        needed: batches that we meant to submit.
        paid: requests that the provider billed.
        kept: billed answers that are in our store.
        tagged: palettes with tags in the end.
        failed: palettes with a final failure in the end.
        pending: palettes that were left hanging.
    """

    batches: int
    needed: int
    paid: int
    kept: int
    tagged: int
    failed: int
    pending: int

    @property
    def is_right(self) -> bool:
        """Nothing bought twice, nothing paid lost, nothing left hanging."""
        return (
            self.batches == self.needed
            and self.paid == self.kept
            and self.pending == 0
            and self.tagged + self.failed == PALETTES
        )

    def cell(self) -> str:
        """Batches bought/needed, lines paid -> kept, palettes tagged (+ failed for good)."""
        end = f"{self.tagged}" + (f"+{self.failed} refused" if self.failed else "")
        text = f"{self.batches}/{self.needed} {self.paid}->{self.kept} {end}"
        return text if self.is_right else f"**{text}**"


def run_case(provider: str, fault: Fault, folder: Path, seed: int) -> Outcome:
    """Run one pass of ten palettes under one fault."""
    sandbox = start_sandbox("--fault", f"{fault.name}=1", latency_s=0.3, seed=seed)
    try:
        home = Home(folder, {**sandbox.env, "GRABIENT_OPS_SETTLE_SECONDS": "5"})
        home.add_palettes(PALETTES)
        words = ("tag", "--model", f"{provider}/{MODELS[provider]}", "--wait")
        if fault.label == "kill -9":
            _kill_between_acceptance_and_record(home, sandbox, words)
        elif not fault.lasts:
            _lift_after_first_batch(home, sandbox, fault, words)
        else:
            home.run(*words)
        return judge(home, sandbox)
    finally:
        sandbox.stop()


def _kill_between_acceptance_and_record(
    home: Home, sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    worker = home.start(*words)
    _until(lambda: bool(sandbox.ledger()["batches"]))
    kill_hard(worker)
    assert home.rows("SELECT provider_batch_id FROM batches") == [(None,)]  # noqa: S101 - the point
    sandbox.faults(slow=0)
    home.run(*words)


def _lift_after_first_batch(
    home: Home, sandbox: Sandbox, fault: Fault, words: tuple[str, ...]
) -> None:
    worker = home.start(*words)
    _until(lambda: bool(sandbox.ledger()["batches"]))
    sandbox.faults(**{fault.name: 0})
    _, errors = worker.communicate(timeout=120)
    if worker.returncode:
        raise RuntimeError(errors)


def _until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def judge(home: Home, sandbox: Sandbox) -> Outcome:
    """Compare the ledger with the store."""
    ledger = sandbox.ledger()
    run = home.json("status")["runs"][0]
    [(needed,)] = home.rows("SELECT count(*) FROM batches")
    [(kept,)] = home.rows("SELECT count(*) FROM palette_tags WHERE response IS NOT NULL")
    return Outcome(
        batches=len(ledger["batches"]),
        needed=needed,
        paid=ledger["requests_billed"],
        kept=kept,
        tagged=run["succeeded"],
        failed=run["failed"],
        pending=run["pending"],
    )


def table(outcomes: Mapping[tuple[str, str], Outcome]) -> list[str]:
    """Return a row per provider, a column per fault."""
    labels = [fault.label for fault in FAULTS]
    lines = ["| provider | " + " | ".join(labels) + " |", "|---|" + "---|" * len(labels)]
    for provider in MODELS:
        cells = " | ".join(outcomes[provider, label].cell() for label in labels)
        lines.append(f"| {provider} | {cells} |")
    return lines
