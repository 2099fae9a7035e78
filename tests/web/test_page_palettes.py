"""The grid of palettes, over HTTP, from a real store."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from grabient_ops.palettes.invented import invented_seeds
from tests.web.conftest import HOSTILE, SEEDS, settled

if TYPE_CHECKING:
    from tests.web.conftest import Served, Shelf

_TILE = re.compile(r'<span class="seed" title="([^"]+)">')
_LINK = re.compile(r'href="([^"]+)"')


def _tiles(page: str) -> list[str]:
    return _TILE.findall(page)


def test_without_palettes_the_page_says_how_to_get_some(served: "Served") -> None:
    page = served.get("/palettes")

    assert "No palettes yet" in page
    assert "palettes import" in page


def test_every_palette_is_drawn_in_its_eleven_colours(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    page = served.get("/palettes")

    assert _tiles(page) == sorted(SEEDS)
    assert page.count('<path fill="#') == 11 * len(SEEDS)
    assert "6 palettes" in page
    assert "style=" not in page.replace('rel="stylesheet"', "")


def test_a_tile_says_how_far_its_palette_is(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    shelf.refine(SEEDS[0])
    page = served.get(f"/palettes?q={quote(SEEDS[0])}")
    failed = served.get(f"/palettes?q={quote(SEEDS[2])}")

    assert "1 answer" in page
    assert "refined</span>" in page
    assert "1 failed" in failed
    assert "refined</span>" not in failed


def test_a_state_chooses_palettes(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    shelf.refine(SEEDS[0])
    chosen = {
        state: _tiles(served.get(f"/palettes?state={state}"))
        for state in ("refined", "tagged", "failed", "untagged")
    }

    assert chosen == {
        "refined": [SEEDS[0]],
        "tagged": [SEEDS[1]],
        "failed": [SEEDS[2]],
        "untagged": sorted(SEEDS[3:]),
    }


def test_a_source_chooses_palettes_by_who_asked(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    assert 'name="source"' not in served.get("/palettes")
    taken = {"source": "d1", "source_id": "1", "model": "older"}
    shelf.answer(shelf.batch("imported"), SEEDS[3], tags={"mood": ["of old"]}, **taken)
    page = served.get("/palettes?source=d1")

    assert _tiles(page) == [SEEDS[3]]
    assert "<option selected>d1</option>" in page
    assert _tiles(served.get("/palettes?source=own")) == sorted(SEEDS[:3])
    assert _tiles(served.get("/palettes?source=convex")) == []
    assert _tiles(served.get("/palettes?source=own&state=untagged")) == sorted(SEEDS[3:])
    assert _tiles(served.get("/palettes?source=d1&state=tagged")) == [SEEDS[3]]
    assert _tiles(settled(served, "/palettes?source=d1&tag=of+old")) == [SEEDS[3]]
    assert _tiles(settled(served, "/palettes?source=own&tag=of+old")) == []
    assert _tiles(settled(served, "/palettes?source=convex&tag=calm")) == []


def test_pages_lead_on_and_back_and_keep_the_choice(served: "Served", shelf: "Shelf") -> None:
    seeds = sorted(invented_seeds(130))
    shelf.palettes(*seeds)
    first = served.get("/palettes?state=untagged&source=own")
    [onwards] = [link for link in _LINK.findall(first) if "after=" in link]
    second = served.get(onwards.replace("&amp;", "&"))
    [back] = [link for link in _LINK.findall(second) if "before=" in link]

    assert _tiles(first) == seeds[:60]
    assert _tiles(second) == seeds[60:120]
    assert _tiles(served.get(back.replace("&amp;", "&"))) == seeds[:60]
    assert "state=untagged&amp;source=own" in onwards


def test_nothing_found_is_told_with_a_way_out(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    page = served.get("/palettes?q=zzzz")

    assert "No palette is like that" in page
    assert 'href="/palettes">Show all' in page


def test_a_tag_finds_the_palettes_that_agree_on_it(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    page = settled(served, "/palettes?tag=%20Calm")
    hostile = settled(served, f"/palettes?tag={quote(HOSTILE)}")

    assert _tiles(page) == sorted(SEEDS[:2])
    assert "<b>100 %</b> of 1 answer" in page
    assert "2 of 6 were given" in page
    assert _tiles(hostile) == sorted(SEEDS[:2])
    assert "<script>alert" not in hostile


def test_a_tag_goes_with_the_other_choices(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    seed = SEEDS[1]

    assert _tiles(settled(served, f"/palettes?tag=calm&q={quote(seed)}")) == [seed]
    assert _tiles(settled(served, "/palettes?tag=calm&state=failed")) == []
    shelf.refine(seed)
    assert _tiles(settled(served, "/palettes?tag=calm&state=refined")) == [seed]
    assert _tiles(settled(served, "/palettes?tag=calm&state=tagged")) == [SEEDS[0]]


def test_a_tag_that_nobody_gave_finds_nothing(served: "Served", shelf: "Shelf") -> None:
    assert "No palette is like that" in settled(served, "/palettes?tag=calm")
    shelf.fill()

    assert "No palette is like that" in settled(served, "/palettes?tag=wild")


def test_a_new_palette_appears_and_an_answer_changes_only_its_tile(
    served: "Served", shelf: "Shelf"
) -> None:
    shelf.palettes(*SEEDS[:2])
    batch = shelf.batch(*SEEDS[:2])
    with served.follow("/palettes/live") as viewer:
        viewer.next()
        shelf.palettes(SEEDS[2])
        grown = viewer.next()
        shelf.answer(batch, SEEDS[0])
        answered = viewer.next()

    assert grown.targets == ["palettes-stored"]
    assert SEEDS[2] in grown.html
    assert len(answered.targets) == 1
    assert answered.targets[0].startswith("tile-")
    assert "1 answer" in answered.html


def test_nonsense_is_refused_in_a_sentence(
    served: "Served", get_error: Callable[..., tuple[int, str]]
) -> None:
    for query in ("state=lost", "source=moon", "q=%00", "tag=%00", "q=" + "x" * 201):
        status, page = get_error(f"{served.url}/palettes?{query}")

        assert status == 422
        assert "<h1>" in page


def test_any_neighbour_gives_a_page(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    for after in ("zzz", "%F0%9F%98%80", "%FF", "-1"):
        assert "<h1>Palettes</h1>" in served.get(f"/palettes?after={after}&tag=")
