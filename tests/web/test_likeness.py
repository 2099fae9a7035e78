"""What the palette's page finds beside it: palettes near in colour, and near in meaning."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from grabient_ops.analytics.search.embedding import Vectors, WordVectors
from grabient_ops.analytics.search.index import EmptyIndexError
from grabient_ops.errors import GrabientError
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.similarity import NEAR_DUPLICATE
from grabient_ops.store.palettes import remove_palettes
from grabient_ops.web.finder import Finder, tell
from grabient_ops.web.lookalikes import Lookalike, Lookalikes
from tests.web.conftest import NOW, SEEDS

if TYPE_CHECKING:
    from grabient_ops.app import App
    from tests.web.conftest import Shelf


def _nearest(app: "App", likes: Lookalikes, seed: str, limit: int = 8) -> list[Lookalike]:
    with app.store.read() as connection:
        return likes.nearest(connection, seed, limit)


def test_the_nearest_come_first_and_a_palette_is_not_its_own(app: "App", shelf: "Shelf") -> None:
    seeds = bundled_seeds()
    shelf.palettes(*seeds)
    found = _nearest(app, Lookalikes(), seeds[0])

    assert 0 < len(found) <= 8
    assert seeds[0] not in {other.seed for other in found}
    assert [other.distance for other in found] == sorted(other.distance for other in found)
    assert all(other.is_near_duplicate == (other.distance < NEAR_DUPLICATE) for other in found)


def test_new_palettes_are_seen_and_removed_ones_are_not(app: "App", shelf: "Shelf") -> None:
    likes, seeds = Lookalikes(), bundled_seeds()
    shelf.palettes(*seeds[:100])
    before = _nearest(app, likes, seeds[0])
    with app.store.write() as connection:
        remove_palettes(connection, [before[0].seed], NOW)
    shelf.palettes(*seeds[100:])
    after = _nearest(app, likes, seeds[0])

    assert before[0].seed not in {other.seed for other in after}
    assert after == _nearest(app, Lookalikes(), seeds[0])


def test_texts_that_are_no_seeds_have_no_likes_and_are_none(app: "App", shelf: "Shelf") -> None:
    shelf.palettes("nonsense", *SEEDS)

    assert _nearest(app, Lookalikes(), "nonsense") == []
    assert "nonsense" not in {other.seed for other in _nearest(app, Lookalikes(), SEEDS[0])}


def test_without_palettes_nothing_is_alike(app: "App") -> None:
    assert _nearest(app, Lookalikes(), SEEDS[0]) == []


class _Failing:
    """The packaged vectors, until the line is cut."""

    model = WordVectors.model
    texts_per_call = None

    def __init__(self) -> None:
        self.is_cut = False
        self._inner = WordVectors()

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.is_cut:
            raise GrabientError("the line is cut")
        return self._inner.embed(texts)


def test_what_was_found_before_is_found_while_nothing_can_be_embedded(
    app: "App", shelf: "Shelf", monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = _Failing()
    monkeypatch.setattr(type(app), "embedder", embedder)
    finder = Finder(app)
    shelf.refine(SEEDS[0])
    shelf.refine(SEEDS[1])
    with app.store.read() as connection:
        before = finder.neighbours(connection, SEEDS[0], 5)
    embedder.is_cut = True
    shelf.refine(SEEDS[2], embed_text="something else")
    with app.store.read() as connection:
        after = finder.neighbours(connection, SEEDS[0], 5)

    assert [hit.seed for hit in before] == [hit.seed for hit in after] == [SEEDS[1]]


def test_what_is_not_refined_has_no_neighbours(app: "App", shelf: "Shelf") -> None:
    finder = Finder(app)
    with app.store.read() as connection, pytest.raises(EmptyIndexError):
        finder.neighbours(connection, SEEDS[0], 5)
    shelf.refine(SEEDS[1])
    with app.store.read() as connection:
        assert finder.neighbours(connection, SEEDS[0], 5) == []


def test_a_few_tags_of_whatever_shape_are_told() -> None:
    tags = {"mood": ["a", "b", "c", "d"], "style": "no list", "harmony": None, "seasonal": [7]}

    assert tell(tags, ("mood", "style", "harmony", "seasonal", "absent")) == ["a", "b", "c", "7"]
