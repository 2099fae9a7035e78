from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import Connection

from grabient_ops.store.batches import request_cancel, update_batch
from grabient_ops.store.changes import announce, latest, since
from grabient_ops.store.palettes import (
    NewPalette,
    add_palettes,
    count_palettes,
    first_seeds,
    known_seeds,
    list_palettes,
    remove_palettes,
)
from grabient_ops.store.prompts import PromptVersion, get_prompt, list_prompts, register_prompt
from grabient_ops.store.targets import raise_targets

if TYPE_CHECKING:
    from tests.store.conftest import Shelf

Act = Callable[[Connection, "Shelf", str], object]
PALETTE = NewPalette("new", "aligned", "new", "test")

ACTS: dict[str, tuple[Act, str]] = {
    "palettes added": (
        lambda connection, shelf, _: add_palettes(connection, [PALETTE], shelf.now), "palettes"
    ),
    "palettes removed": (
        lambda connection, shelf, _: remove_palettes(connection, ["a"], shelf.now), "palettes"
    ),
    "targets raised": (
        lambda connection, shelf, _: raise_targets(
            connection, "p", [("groq", "m")], 1, None, shelf.now
        ),
        "targets",
    ),
    "batch changed": (
        lambda connection, shelf, id_: update_batch(connection, id_, shelf.now, error="x"),
        "batches",
    ),
    "cancel asked": (
        lambda connection, shelf, batch_id: request_cancel(connection, batch_id, shelf.now),
        "batches",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTS)
def test_a_change_is_announced_in_the_transaction_that_makes_it(shelf: "Shelf", name: str) -> None:
    act, topic = ACTS[name]
    shelf.palettes("a")
    batch_id = shelf.reserve("a")
    with shelf.store.read() as connection:
        before = latest(connection)

    with shelf.store.write() as connection:
        act(connection, shelf, batch_id)
        connection.rollback()
    with shelf.store.read() as connection:
        assert latest(connection) == before

    with shelf.store.write() as connection:
        act(connection, shelf, batch_id)
    with shelf.store.read() as connection:
        assert [change.topic for change in since(connection, before)] == [topic]


def test_what_changed_nothing_is_not_announced(shelf: "Shelf") -> None:
    shelf.palettes("new")
    batch_id = shelf.reserve("new")
    with shelf.store.write() as connection:
        request_cancel(connection, batch_id, shelf.now)
    with shelf.store.write() as connection:
        before = latest(connection)
        add_palettes(connection, [PALETTE], shelf.now)
        request_cancel(connection, batch_id, shelf.now)
        remove_palettes(connection, [], shelf.now)

        assert latest(connection) == before


def test_the_feed_is_read_in_order_and_in_pages(shelf: "Shelf") -> None:
    with shelf.store.write() as connection:
        announce(connection, "batches", map(str, range(5)), shelf.now)
        first = since(connection, 0, limit=2)
        rest = since(connection, first[-1].seq)

    assert [change.key for change in first + rest] == list("01234")
    assert {change.at for change in first} == {shelf.now}


def test_palettes_are_added_once_and_listed_by_page(shelf: "Shelf") -> None:
    rows = [NewPalette(seed, "aligned", seed, "test") for seed in "cabb"]
    with shelf.store.write() as connection:
        assert add_palettes(connection, rows, shelf.now) == 3
        assert add_palettes(connection, rows, shelf.now) == 0
        assert count_palettes(connection) == 3
        assert [palette.seed for palette in list_palettes(connection, after="a")] == ["b", "c"]
        assert first_seeds(connection, 2) == ["a", "b"]
        many = [str(number) for number in range(1200)]
        assert known_seeds(connection, [*many, "b"]) == {"b"}


def test_a_removed_palette_takes_its_plans_along_and_nothing_else(shelf: "Shelf") -> None:
    shelf.plan("a", "b")
    shelf.respond(shelf.row(seed="a"))
    with shelf.store.write() as connection:
        assert remove_palettes(connection, ["a", "never there"], shelf.now) == 1
        left = [palette.seed for palette in list_palettes(connection)]
        kept = connection.exec_driver_sql("SELECT seed FROM palette_tags").scalars().all()
        planned = connection.exec_driver_sql("SELECT seed FROM targets").scalars().all()

    assert (left, kept, planned) == (["b"], ["a"], ["b"])


def test_a_prompt_is_found_by_an_unambiguous_beginning(shelf: "Shelf") -> None:
    prompts = [PromptVersion(v, "tagging", v, "first", shelf.now) for v in ("abc1", "abd2", "_")]
    with shelf.store.write() as connection:
        assert [register_prompt(connection, prompt) for prompt in prompts] == [True] * 3
        assert not register_prompt(connection, prompts[0]._replace(message="second"))

        assert get_prompt(connection, "abc") == prompts[0]
        assert get_prompt(connection, "ab") is None
        assert get_prompt(connection, "") is None
        assert get_prompt(connection, "_") == prompts[2]
        assert get_prompt(connection, "%") is None


def test_prompts_are_listed_with_their_answers(shelf: "Shelf") -> None:
    with shelf.store.write() as connection:
        prompt = PromptVersion(shelf.target.prompt_version, "tagging", "text", "", shelf.now)
        register_prompt(connection, prompt)
        register_prompt(connection, prompt._replace(version="unused"))
    shelf.respond(shelf.row(seed="a"), shelf.row(seed="b", error_class="missing"))

    with shelf.store.read() as connection:
        counts = {prompt.version: answers for prompt, answers in list_prompts(connection)}
    assert counts == {"prompt-1": 1, "unused": 0}
