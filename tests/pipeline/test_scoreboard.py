"""The scoreboard says at every moment what a full count says, and counts little for it."""

from itertools import chain
from random import Random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import Connection

from grabient_ops.pipeline.prompting import current_prompt, register_prompt_text, use_prompt
from grabient_ops.pipeline.scoreboard import Score, Scoreboard
from grabient_ops.pipeline.status import describe_models
from grabient_ops.store.batches import update_batch
from grabient_ops.store.changes import announce
from grabient_ops.store.failures import excuse_errors
from grabient_ops.store.progress import (
    Outcome,
    Run,
    count_outcomes,
    measure_progress,
    sum_tokens,
)

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab


def _counted(lab: "Lab", connection: Connection) -> Score:
    version = current_prompt(connection)
    progress = measure_progress(connection, version, lab.policy.max_attempts)
    tokens = list(chain(*sum_tokens(connection, version).values()))
    return Score(progress, describe_models(progress, tokens, lab.services.catalog))


def _agrees(lab: "Lab", board: Scoreboard) -> bool:
    with lab.store.read() as connection:
        return board.look(connection) == _counted(lab, connection)


def _end(lab: "Lab", batch_id: str, error_class: str | None) -> None:
    """Answer all of a batch, as its workflow does."""
    batch = lab.services.batch(batch_id)
    lab.respond(batch, error_class)
    with lab.store.write() as connection:
        update_batch(connection, batch_id, lab.clock(), state="completed", ended_at=lab.clock())
        announce(connection, "responses", [batch_id], lab.clock())


def test_it_says_what_a_full_count_says_whatever_happens(lab: "Lab") -> None:
    random, board = Random(7), Scoreboard(lab.services)
    assert _agrees(lab, board)
    lab.palettes(4)
    lab.want("openai", "groq", runs=3)
    assert _agrees(lab, board)

    for _ in range(12):
        for batch_id in lab.plan().reserved:
            _end(lab, batch_id, random.choice([None, None, "unparsable", "refused"]))
            assert _agrees(lab, board)
        if random.random() < 0.3:
            with lab.store.write() as connection:
                excuse_errors(connection, lab.clock())
            assert _agrees(lab, board)
        if random.random() < 0.3:
            lab.palettes(1, first=random.randrange(4, 9))
            lab.want("openai", runs=3)
            assert _agrees(lab, board)


def test_another_prompt_starts_another_count(lab: "Lab") -> None:
    board = Scoreboard(lab.services)
    _end(lab, lab.reserve().id, None)
    assert _agrees(lab, board)

    register_prompt_text(lab.services, "Describe it.", "another", use=True)
    assert _agrees(lab, board)
    with lab.store.read() as connection:
        assert board.look(connection).progress == []

    use_prompt(lab.services, "builtin")
    assert _agrees(lab, board)


def test_answers_of_a_batch_that_is_not_known_count(lab: "Lab") -> None:
    board = Scoreboard(lab.services)
    batch = lab.reserve()
    assert _agrees(lab, board)

    lab.respond(batch._replace(id="imported"))
    with lab.store.write() as connection:
        announce(connection, "responses", ["imported"], lab.clock())

    assert _agrees(lab, board)


def test_only_the_run_with_new_answers_is_counted_again(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Scoreboard(lab.services)
    lab.palettes(2)
    lab.want("openai", "groq")
    first, second = lab.plan().reserved
    _end(lab, first, None)
    assert _agrees(lab, board)
    counted: list[Run | None] = []

    def noting(
        connection: Connection, version: str, attempts: int, run: Run | None = None
    ) -> dict[Run, Outcome]:
        counted.append(run)
        return count_outcomes(connection, version, attempts, run)

    monkeypatch.setattr("grabient_ops.pipeline.scoreboard.count_outcomes", noting)
    _end(lab, second, None)
    with lab.store.read() as connection:
        board.look(connection)
        board.look(connection)

    batch = lab.services.batch(second)
    assert counted == [(batch.provider, batch.model, 1)]
