"""What was spent when."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from grabient_ops.store.batches import update_batch
from grabient_ops.store.spent import list_spent

if TYPE_CHECKING:
    from tests.store.conftest import Shelf

PROMPT, MODEL = "prompt-1", "groq/openai/gpt-oss-20b"


@pytest.fixture
def spent(shelf: "Shelf") -> "Shelf":
    """Three batches that ended, the last one first; one that did not, one without a cost."""
    for hours, cost in ((2, 30), (1, 20), (0, 10), (None, 99), (3, None)):
        ended = None if hours is None else shelf.now + timedelta(hours=hours)
        batch = shelf.reserve(f"{hours}", run_number=1 if cost != 30 else 2)
        with shelf.store.write() as connection:
            update_batch(connection, batch, shelf.now, ended_at=ended, settled_cost=cost)
    return shelf


def test_costs_come_in_the_order_in_which_batches_ended(spent: "Shelf") -> None:
    with spent.store.read() as connection:
        rows = list_spent(connection)

    assert [row.cost for row in rows] == [10, 20, 30]
    assert rows[0] == (spent.now, "tagging", 10)


def test_costs_are_chosen_by_prompt_model_and_run(spent: "Shelf") -> None:
    with spent.store.read() as connection:
        assert len(list_spent(connection, prompt=PROMPT, model=MODEL)) == 3
        assert [row.cost for row in list_spent(connection, run=2)] == [30]
        assert list_spent(connection, prompt="another") == []
        assert list_spent(connection, model="groq/another") == []
