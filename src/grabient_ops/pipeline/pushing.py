"""Gives refinements of ours back to a Convex deployment, each of them once.

A refinement has a key that follows from what it says. The key is in the ledger before anything is
sent, goes with what is sent, and a mutation that has seen it does nothing. So a crash, or an answer
that was lost, repeats a call and nothing else; and what comes back with the deployment's documents
is known as ours.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from grabient_ops.pipeline.services import Services
from grabient_ops.store.pushes import confirm, reserve, unpushed

_AT_ONCE = 100
_KEY_FIELDS = (
    "seed", "provider", "model", "prompt_version", "run_number", "tags", "embed_text",
)  # fmt: skip

Mutate = Callable[[str, Mapping[str, Any]], None]
Arguments = dict[str, Any]


class Pusher:
    """Calls one mutation with refinements.

    Args:
        services: the parts.
        mutate: calls a mutation of the deployment, however often it takes.
        mutation: its name, such as `grabient:storeRefined`.
    """

    def __init__(self, services: Services, mutate: Mutate, mutation: str) -> None:
        self._services = services
        self._mutate = mutate
        self._mutation = mutation
        self.pushed = 0

    def pending(self) -> Iterator[Arguments]:
        """Yield what would be sent."""
        for rows in self._pages():
            yield from map(arguments, rows)

    def push(self, is_over: Callable[[], bool]) -> None:
        """Send what is not there yet, until `is_over`.

        Raises:
            ProviderError: the deployment does not answer, or the mutation refuses a refinement.
        """
        for rows in self._pages():
            calls = {row["id"]: arguments(row) for row in rows}
            keys = {call["idempotencyKey"]: number for number, call in calls.items()}
            with self._services.store.write() as connection:
                reserve(connection, self._mutation, keys)
            for call in calls.values():
                if is_over():
                    return
                self._push(call)

    def _push(self, call: Arguments) -> None:
        self._mutate(self._mutation, call)
        now = self._services.now()
        with self._services.store.write() as connection:
            confirm(connection, self._mutation, [call["idempotencyKey"]], now)
        self.pushed += 1

    def _pages(self) -> Iterator[list[dict[str, Any]]]:
        last = 0
        while rows := self._page(last):
            yield rows
            last = rows[-1]["id"]

    def _page(self, after: int) -> list[dict[str, Any]]:
        with self._services.store.read() as connection:
            return unpushed(connection, self._mutation, after, _AT_ONCE)


def arguments(row: Mapping[str, Any]) -> Arguments:
    """Return what a mutation gets of a refinement: the first system's own words for it."""
    return {
        "idempotencyKey": _key(row),
        "seed": row["seed"],
        "provider": row["provider"],
        "model": row["model"],
        "cycle": row["run_number"],
        "promptVersion": row["prompt_version"],
        "sourcePromptVersions": row["source_prompt_versions"],
        "tags": row["tags"],
        "embedText": row["embed_text"],
        "inputSummary": row["input"],
        "usage": {"inputTokens": row["input_tokens"], "outputTokens": row["output_tokens"]},
    }


def _key(row: Mapping[str, Any]) -> str:
    content = orjson.dumps([row[name] for name in _KEY_FIELDS], option=orjson.OPT_SORT_KEYS)
    return f"grabient-ops-{hashlib.sha256(content).hexdigest()[:32]}"
