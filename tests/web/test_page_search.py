"""Search by meaning, over HTTP, with the packaged word vectors."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.web.conftest import HOSTILE, SEEDS, settled

if TYPE_CHECKING:
    from tests.web.conftest import Served, Shelf

_TEXTS = ("blue calm ocean waves", "brown cozy autumn forest", "pink electric neon city")


def _search(served: "Served", text: str) -> str:
    return settled(served, f"/search?q={quote(text)}")


def _refine(shelf: "Shelf") -> None:
    shelf.palettes(*SEEDS)
    for seed, text in zip(SEEDS, _TEXTS, strict=False):
        shelf.refine(seed, embed_text=text, tags={"mood": [text.split()[1]], "style": None})


def test_the_closest_palette_comes_first_with_its_score_and_tags(
    served: "Served", shelf: "Shelf"
) -> None:
    _refine(shelf)
    page = _search(served, "the sea")
    first = page.split('class="tile"')[1]

    assert f'title="{SEEDS[0]}"' in first
    assert "<bdi>calm</bdi>" in first
    assert 'value="the sea"' in page


def test_what_is_refined_later_is_found_as_well(served: "Served", shelf: "Shelf") -> None:
    _refine(shelf)
    assert SEEDS[3] not in _search(served, "snow")
    shelf.refine(SEEDS[3], embed_text="white cold winter snow")

    with served.follow("/search/live?q=snow") as viewer:
        event = viewer.next()
        while SEEDS[3] not in event.html:
            event = viewer.next()

    assert "search-hits" in event.targets


def test_before_anything_is_refined_the_page_says_so(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()

    assert "No palette is refined yet" in _search(served, "ocean")
    assert "No palette is refined yet" in _search(served, "")


def test_a_blank_search_invites(served: "Served", shelf: "Shelf") -> None:
    _refine(shelf)

    assert "found by what they mean" in _search(served, "")
    assert "found by what they mean" in _search(served, "  ")


def test_any_text_may_be_searched_for(served: "Served", shelf: "Shelf") -> None:
    _refine(shelf)
    for text in (HOSTILE, "海", "💥", "' OR 1=1 --", '"><img src=x>', "%", "\x01"):
        page = _search(served, text)

        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'class="failure"' not in page


def test_hostile_tags_are_harmless_in_results(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(*SEEDS)
    shelf.refine(SEEDS[0], tags={"mood": [HOSTILE, "A" * 100_000], "style": "x", "harmony": 7})
    page = _search(served, "ocean")

    assert "<script>alert" not in page
    assert "A" * 50 not in page
