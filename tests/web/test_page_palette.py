"""The page of one palette, over HTTP, from a real store."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote
from urllib.request import urlopen

from grabient_ops.images.render import render_pngs
from grabient_ops.palettes.describe import describe
from grabient_ops.palettes.legacy import write_legacy
from grabient_ops.palettes.seed import read_seed
from tests.web.conftest import HOSTILE, SEEDS, settled

if TYPE_CHECKING:
    from tests.web.conftest import Served, Shelf

SEED = SEEDS[0]
LONG = "A" * 100_000

GetError = Callable[..., tuple[int, str]]


def _address(seed: str = SEED) -> str:
    return f"/palettes/{quote(seed, safe='')}"


def test_a_palette_shows_its_colours_in_every_notation_and_its_facts(
    served: "Served", shelf: "Shelf"
) -> None:
    shelf.palettes(SEED)
    page = served.get(_address())
    first, *_, last = describe([SEED])[0].to_json()["hex"]

    assert f">{first}</button>" in page.split('id="hex-1"')[1]
    assert f">{last}</button>" in page.split('id="hex-11"')[1]
    for fact in ("Coefficients", "temperature", "harmony", "dominant colours"):
        assert fact in page


def test_a_seed_with_a_plus_is_found_however_it_is_written(
    served: "Served", shelf: "Shelf"
) -> None:
    seed = _seed_with_plus()
    shelf.palettes(seed)

    assert "From <bdi>test</bdi>" in served.get(f"/palettes/{quote(seed, safe='')}")
    assert "From <bdi>test</bdi>" in served.get(f"/palettes/{quote(seed, safe='+')}")


def _seed_with_plus() -> str:
    """A legacy seed in whose packed form there is a plus."""
    for number in range(500):
        value = number / 1000
        seed = write_legacy(((value, 0.5, 0.5),) * 4)
        if "+" in seed:
            return seed
    raise AssertionError


def test_a_valid_seed_that_is_not_stored_is_shown_and_said_so(served: "Served") -> None:
    page = served.get(_address())

    assert "Not among the stored palettes" in page
    assert "No model has answered" in page


def test_what_is_no_palette_is_not_found(served: "Served", get_error: GetError) -> None:
    for seed in ("nonsense", "%3Cscript%3E", "..%2f..", "%F0%9F%98%80", "a%3Fb"):
        status, page = get_error(f"{served.url}/palettes/{seed}")

        assert status == 404
        assert "<script>" not in page


def test_a_stored_text_that_is_no_seed_still_has_a_page(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes("legacy-of-somebody")

    assert "This is no seed" in served.get(_address("legacy-of-somebody"))


def test_consensus_counts_votes_and_shares(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(SEED)
    batch = shelf.batch(SEED)
    for run, mood in enumerate(["calm", "Calm", "calm", "wild"], start=1):
        shelf.answer(batch, SEED, run_number=run, tags={"mood": [mood]})
    page = served.get(_address())
    calm = page.split('<a href="/palettes?tag=calm">')[1].split("</li>")[0]

    assert "4 answers of 1 model." in page
    assert ">3</span>" in calm
    assert "75 %" in calm
    assert 'data-strength="strong"' in page
    assert 'data-strength="weak"' in page


def test_answers_are_chosen_without_a_script(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(SEED)
    batch = shelf.batch(SEED)
    shelf.answer(batch, SEED, run_number=1)
    shelf.answer(batch, SEED, run_number=2)
    expected = {
        "run=2": 1, "run=9": 0, "run=9007199254740992": 0, "prompt=another": 0,
        "model=groq/openai/gpt-oss-20b": 2, "model=&run=&prompt=": 2,
        f"prompt={shelf.version}&run=1": 1,
    }  # fmt: skip
    for choice, answers in expected.items():
        page = served.get(f"{_address()}?{choice}")

        assert page.count('<li id="answer-') == answers
        assert ("No answer is like that" in page) == (answers == 0)


def test_an_answer_shows_tokens_cost_finish_and_its_raw_text(
    served: "Served", shelf: "Shelf"
) -> None:
    shelf.palettes(SEED)
    batch = shelf.batch(SEED)
    shelf.answer(batch, SEED)
    shelf.answer(
        batch, SEED, run_number=2, cost=74_000_000, input_tokens=12_345, finish_reason="STOP",
        reasoning_tokens=40, response="```json {} ```",
    )  # fmt: skip
    page = served.get(_address())

    for shown in ("12,345 in", "$0.000074", "STOP", "(40 reasoning)", "```json {} ```"):
        assert shown in page
    assert "unknown in all" in page  # the other answer has no known price


def test_failures_stand_among_the_answers(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    page = served.get(_address(SEEDS[2]))

    assert "1 answer, 1 of them failed" in page
    assert ">unparsable</span>" in page


def test_many_answers_have_pages(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(SEED)
    batch = shelf.batch(SEED)
    for run in range(1, 61):
        shelf.answer(batch, SEED, run_number=run)
    first = served.get(f"{_address()}?model=groq/openai/gpt-oss-20b")
    onwards = first.split('rel="next" href="')[1].split("#")[0].replace("&amp;", "&")
    second = served.get(_address() + onwards)

    assert "Shown: 1 to 50" in first
    assert "Shown: 51 to 60" in second
    assert "model=groq" in onwards
    assert "run 60 " in first
    assert "run 1 " in second
    assert "60 answers of 1 model" in second  # the consensus is of all


def test_hostile_texts_are_escaped_isolated_and_clamped(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(SEED)
    batch = shelf.batch(SEED)
    evil = [HOSTILE, LONG, "javascript:alert(1)", "\r\ndata: x\n\nid: 9", '" onload="x', "\u2066"]
    shelf.answer(
        batch, SEED, response=f"{HOSTILE}{LONG}",
        tags={"mood": [*evil, LONG], "style": evil, "temperature": "<b>"},
        model_returned="<i>" * 1000, finish_reason=HOSTILE,
    )  # fmt: skip
    shelf.answer(batch, SEED, run_number=2, tags=None, error_class="refused", error=HOSTILE + LONG)
    shelf.refine(
        SEED, tags={"mood": evil}, sentence=HOSTILE, embed_text=HOSTILE, input=HOSTILE,
        dropped=[{"tag": HOSTILE, "reason": LONG}, {}],
    )  # fmt: skip
    page = settled(served, _address())

    assert "<script>alert" not in page
    assert "<bdi>&lt;script&gt;" in page
    assert 'href="javascript:' not in page
    assert "show all 100,000 characters" in page
    assert 'class="failure"' not in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    # Of the raw text only the beginning, and a way to the rest.
    assert "Show all 100,033 characters" in page
    with served.follow(f"{_address()}/live") as viewer:
        assert "<script>alert" not in viewer.next().html


def test_the_whole_text_is_a_file_that_no_browser_takes_for_a_page(
    served: "Served", shelf: "Shelf"
) -> None:
    shelf.palettes(SEED)
    shelf.answer(shelf.batch(SEED), SEED, response=HOSTILE + LONG)
    link = served.get(_address()).split(".txt")[0].rsplit('"', 1)[1] + ".txt"
    with urlopen(served.url + link) as response:  # noqa: S310 - loopback
        text, headers = response.read().decode(), response.headers

    assert text == HOSTILE + LONG
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("attachment;")


def test_there_is_no_text_elsewhere(served: "Served", shelf: "Shelf", get_error: GetError) -> None:
    shelf.fill()
    missing = [
        get_error(f"{served.url}{_address()}/{place}.txt")[0]
        for place in ("tagging/99", "refinement/1", "else/1", "tagging/x", "tagging/0")
    ]

    assert missing == [404, 404, 422, 422, 422]


def test_a_refinement_shows_all_that_came_of_it(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(SEED)
    shelf.refine(SEED, tags=None, error_class="truncated", error="cut at the limit")
    shelf.refine(
        SEED, run_number=2, sentence="A calm sea.", dropped=[{"tag": "smooth", "reason": "vague"}],
        input="Consensus: 9 answers", cost=13_213_000_000,
    )  # fmt: skip
    page = served.get(_address())

    for shown in (
        "A calm sea.", "blue calm ocean waves", "smooth", "vague", "Consensus: 9 answers",
        "$0.0132", "in use", "truncated", "cut at the limit",
    ):  # fmt: skip
        assert shown in page


def test_neighbours_by_meaning_and_by_colour_are_linked(served: "Served", shelf: "Shelf") -> None:
    palette = read_seed(SEED)
    twin = write_legacy(palette.coeffs)
    shelf.palettes(*SEEDS, twin)
    for seed in SEEDS[:3]:
        shelf.refine(seed)
    page = settled(served, _address())
    meaning = page.split("Near in meaning")[1].split("</section>")[0]
    colour = page.split("Near in colour")[1].split("</section>")[0]

    assert SEEDS[1] in meaning
    assert SEED not in meaning
    assert twin in colour
    assert "near duplicate" in colour


def test_without_refinements_there_are_no_neighbours_in_meaning(
    served: "Served", shelf: "Shelf"
) -> None:
    shelf.palettes(SEED)

    assert "Only refined palettes have neighbours" in settled(served, _address())


def test_an_answer_reaches_the_page_by_itself(served: "Served", shelf: "Shelf") -> None:
    shelf.palettes(SEED)
    batch = shelf.batch(SEED)
    with served.follow(f"{_address()}/live") as viewer:
        viewer.next()
        shelf.answer(batch, SEED)
        event = viewer.next()
        while "palette-consensus" not in event.targets:
            event = viewer.next()

    assert "palette-answers" in event.targets
    assert "1 answer of 1 model" in event.html


def test_a_picture_is_the_one_that_models_see_and_may_be_kept_for_ever(served: "Served") -> None:
    with urlopen(f"{served.url}/pictures/{quote(SEED, safe='')}.png") as response:  # noqa: S310 - loopback
        picture, headers = response.read(), response.headers

    assert picture == render_pngs([SEED])[0]
    assert headers["content-type"] == "image/png"
    assert "immutable" in headers["cache-control"]


def test_there_is_no_picture_of_nonsense(served: "Served", get_error: GetError) -> None:
    assert get_error(f"{served.url}/pictures/nonsense.png")[0] == 404
