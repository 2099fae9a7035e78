"""Reads stored answers again with the present parser, so that a better one costs no new request."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

from sqlalchemy.engine import Connection

from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.stages import Stage
from grabient_ops.store.changes import announce
from grabient_ops.store.responses import (
    Reparsable,
    Row,
    answered_before,
    iterate_responses,
    update_parsed,
)

_Change = tuple[Reparsable, Row]


@dataclass
class Reparsed:
    """What reading again has led to; `read` is the sum of the other four.

    Attributes:
        read: answers with text.
        rescued: failures that are answers now.
        lost: answers that the present parser cannot read; they stay unless losses are allowed.
        changed: other tags, or another class of failure.
        unchanged: as they were, also failures of requests that another attempt has answered.
    """

    read: int = 0
    rescued: int = 0
    lost: int = 0
    changed: int = 0
    unchanged: int = 0

    def __add__(self, other: "Reparsed") -> "Reparsed":
        return Reparsed(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Reparser:
    """Parses every stored answer anew, page by page; the texts themselves are never touched.

    Repeating it is harmless, so after a crash it is simply run again.

    Args:
        services: the parts.
        stage: whose answers.
        dry_run: only count.
        allow_loss: let answers become failures; their requests are then asked, and paid for, again.
    """

    def __init__(
        self, services: Services, stage: Stage, *, dry_run: bool, allow_loss: bool
    ) -> None:
        self._services = services
        self._stage = stage
        self._dry_run = dry_run
        self._allow_loss = allow_loss
        self._result = Reparsed()
        self._rescued: set[tuple[object, ...]] = set()

    def run(self, on_progress: Callable[[int], None]) -> Reparsed:
        """Do it; `on_progress` is called with the number of answers read so far."""
        with self._services.store.read() as snapshot:
            for page in iterate_responses(snapshot, self._stage.table):
                changes = _differences(self._stage, page)
                self._result.read += len(page)
                self._result.unchanged += len(page) - len(changes)
                if changes and self._dry_run:
                    self._select(snapshot, changes)
                elif changes:
                    self._store(changes)
                on_progress(self._result.read)
        return self._result

    def _store(self, changes: Sequence[_Change]) -> None:
        now = self._services.now()
        with self._services.store.write() as connection:
            kept = self._select(connection, changes)
            fresh_by_id = {stored.id: fresh for stored, fresh in kept}
            update_parsed(connection, self._stage.table, fresh_by_id)
            changed = {stored.batch_id for stored, _ in kept}
            if self._allow_loss:
                # A running worker must look again at runs that it took for finished.
                changed.add("*")
            announce(connection, self._stage.topic, sorted(changed), now)

    def _select(self, connection: Connection, changes: Sequence[_Change]) -> list[_Change]:
        """Count the differences and return those that are to be stored."""
        kept = []
        for stored, fresh in changes:
            was_answer, is_answer = stored.error_class is None, fresh["error_class"] is None
            if was_answer and not is_answer:
                self._result.lost += 1
                if not self._allow_loss:
                    continue
            elif was_answer == is_answer:
                self._result.changed += 1
            elif self._is_answered(connection, stored):
                self._result.unchanged += 1
                continue
            else:
                self._result.rescued += 1
            kept.append((stored, fresh))
        return kept

    def _is_answered(self, connection: Connection, stored: Reparsable) -> bool:
        """A request has one answer: the one it has, or the first that is rescued."""
        key = {
            "provider": stored.provider,
            "model": stored.model,
            "run_number": stored.run_number,
            "prompt_version": stored.prompt_version,
        }
        request = (stored.seed, *key.values())
        table = self._stage.table
        if request in self._rescued or answered_before(connection, table, key, [stored.seed]):
            return True
        self._rescued.add(request)
        return False


def _differences(stage: Stage, page: Sequence[Reparsable]) -> list[_Change]:
    read = ((stored, stage.read(stored.response, stored.finish_reason)) for stored in page)
    return [
        (stored, fresh)
        for stored, fresh in read
        if (stored.tags, stored.error_class, stored.embed_text)
        != (fresh["tags"], fresh["error_class"], fresh.get("embed_text"))
    ]
