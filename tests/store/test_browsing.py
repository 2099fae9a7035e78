from typing import TYPE_CHECKING, Any, get_args

import pytest
import sqlalchemy as sa

from grabient_ops.store.browsing import (
    PalettePage,
    State,
    all_seeds,
    browse_palettes,
    cards_of,
    imported_sources,
    refined_seeds,
)
from grabient_ops.store.tables import palette_tag_refined

if TYPE_CHECKING:
    from tests.store.conftest import Shelf


def _refine(shelf: "Shelf", seed: str, **values: object) -> None:
    row = {
        **shelf.row(seed=seed), "source_prompt_versions": ["p"], "input": "", "dropped": None,
        "sentence": None, "embed_text": "calm", **values,
    }  # fmt: skip
    with shelf.store.write() as connection:
        connection.execute(sa.insert(palette_tag_refined), [row])


@pytest.fixture
def mixed(shelf: "Shelf") -> "Shelf":
    """One palette in each state, and some that are nearly in another one."""
    shelf.palettes("new", "answered", "tried", "recovered", "refined", "badly-refined")
    shelf.respond(shelf.row(seed="answered"))
    shelf.respond(shelf.row(seed="tried", tags=None, error_class="refused"))
    shelf.respond(shelf.row(seed="recovered", tags=None, error_class="refused"))
    shelf.respond(shelf.row(seed="recovered", attempt=2))
    shelf.respond(shelf.row(seed="refined"), shelf.row(seed="badly-refined"))
    _refine(shelf, "refined")
    _refine(shelf, "badly-refined", tags=None, error_class="truncated")
    return shelf


def _browse(shelf: "Shelf", limit: int = 60, **choice: Any) -> PalettePage:  # noqa: ANN401 - passed on
    with shelf.store.read() as connection:
        return browse_palettes(connection, limit, **choice)


def _seeds(*pages: PalettePage) -> list[str]:
    return [card.seed for page in pages for card in page.cards]


@pytest.mark.parametrize(
    ("state", "seeds"),
    [
        ("untagged", ["new"]),
        ("failed", ["tried"]),
        ("tagged", ["answered", "badly-refined", "recovered"]),
        ("refined", ["refined"]),
    ],
)
def test_every_state_chooses_its_palettes(mixed: "Shelf", state: State, seeds: list[str]) -> None:
    page = _browse(mixed, state=state)

    assert _seeds(page) == seeds
    assert {card.state for card in page.cards} == {state}


def test_every_palette_is_in_one_state(mixed: "Shelf") -> None:
    chosen = [_browse(mixed, state=state) for state in get_args(State)]

    assert sorted(_seeds(*chosen)) == _seeds(_browse(mixed))


def test_a_card_counts_answers_and_failures_apart(mixed: "Shelf") -> None:
    cards = {card.seed: card for card in _browse(mixed).cards}

    assert (cards["recovered"].answers, cards["recovered"].failures) == (1, 1)
    assert (cards["new"].answers, cards["new"].failures) == (0, 0)


def test_pages_follow_each_other_without_a_gap_in_both_directions(shelf: "Shelf") -> None:
    seeds = [f"{number:02}" for number in range(25)]
    shelf.palettes(*seeds)
    forwards, backwards = [_browse(shelf, 10)], [_browse(shelf, 10, before="99")]
    while forwards[-1].has_after:
        forwards.append(_browse(shelf, 10, after=forwards[-1].cards[-1].seed))
    while backwards[0].has_before:
        backwards.insert(0, _browse(shelf, 10, before=backwards[0].cards[0].seed))

    assert [len(page.cards) for page in forwards] == [10, 10, 5]
    assert [len(page.cards) for page in backwards] == [5, 10, 10]
    assert _seeds(*forwards) == _seeds(*backwards) == seeds
    assert [page.has_before for page in forwards] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "found"),
    [("b+", ["aB+c"]), ("AB", ["aB+c", "ab%d"]), ("%", ["ab%d"]), ("_", ["x_y"]), ("\\", [])],
)
def test_a_seed_is_found_by_any_part_of_it(shelf: "Shelf", text: str, found: list[str]) -> None:
    shelf.palettes("aB+c", "ab%d", "x_y", "other")

    assert _seeds(_browse(shelf, text=text)) == found


def test_cards_come_in_the_order_asked_for_and_only_of_stored_palettes(mixed: "Shelf") -> None:
    with mixed.store.read() as connection:
        cards = cards_of(connection, ["tried", "unknown", "answered"])
        none = cards_of(connection, [])

    assert [card.seed for card in cards] == ["tried", "answered"]
    assert none == []


def test_all_seeds_are_all_and_a_failed_refinement_is_none(mixed: "Shelf") -> None:
    with mixed.store.read() as connection:
        assert len(all_seeds(connection)) == 6
        assert refined_seeds(connection) == {"refined"}


def test_a_source_counts_only_what_came_from_there(mixed: "Shelf") -> None:
    taken = {"source": "d1", "source_id": "1", "model": "older"}
    mixed.respond(mixed.row(seed="new", **taken))
    mixed.respond(mixed.row(seed="tried", **{**taken, "source_id": "2"}))
    _refine(mixed, "answered", source="convex", source_id="3")

    assert _seeds(_browse(mixed, source="d1")) == ["new", "tried"]
    assert _seeds(_browse(mixed, source="convex")) == ["answered"]
    assert _seeds(_browse(mixed, source="d1", state="tagged")) == ["new", "tried"]
    assert _seeds(_browse(mixed, source="own", state="failed")) == ["tried"]
    assert _seeds(_browse(mixed, source="own", state="untagged")) == ["new"]
    assert _seeds(_browse(mixed, source="convex", state="refined")) == ["answered"]
    tried = {source: _browse(mixed, source=source, text="tried").cards for source in ("d1", "own")}
    assert [(c.answers, c.failures) for c in tried["d1"]] == [(1, 0)]
    assert [(c.answers, c.failures) for c in tried["own"]] == [(0, 1)]
    with mixed.store.read() as connection:
        assert imported_sources(connection) == ["d1", "convex"]
        assert refined_seeds(connection, "convex") == {"answered"}
        assert refined_seeds(connection, "own") == {"refined"}
