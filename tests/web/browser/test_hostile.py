"""What models, providers and files may say: markup, addresses, turned letters, endless words."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import PageOpener
from tests.web.conftest import HOSTILE, NOW, SEEDS, Served, Shelf, open_app

TAGS = (
    HOSTILE,
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "\u202eright to left\u2066 and more",
    "zalgo" + "\u0301" * 300,
    "🌅" * 500,
    "endless" * 15_000,
)
PATHS = (
    "/", f"/palettes/{quote(SEEDS[0], safe='')}", "/palettes", "/errors", "/history",
    "/analytics", "/analytics?view=errors", "/analytics?view=agreement", "/search?q=calm",
    f"/palettes?tag={quote(HOSTILE)}", f"/palettes?q={quote(HOSTILE)}",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard whose home holds the worst; not to be changed."""
    app = open_app(shutil.copytree(empty_home, tmp_path_factory.mktemp("bad") / "home"))
    shelf = Shelf(app)
    shelf.fill()
    tags = {"mood": list(TAGS), "temperature": HOSTILE, "associations": [*TAGS]}
    for model in ("<b>bold</b>", "m" * 300):
        name = {"model": model, "provider": "groq", "finish_reason": HOSTILE}
        done = shelf.batch(model, state="completed", ended_at=NOW, error=TAGS[-1], error_class="x")
        shelf.answer(done, *SEEDS[:3], tags=tags, response=TAGS[-1] + HOSTILE, **name)
        bad = {"tags": None, "error_class": "unparsable", "error": TAGS[-1] + HOSTILE}
        shelf.answer(done, SEEDS[4], response="\n".join(TAGS), **bad, **name)
    shelf.refine(SEEDS[0], tags=tags, embed_text=" ".join(TAGS), sentence=HOSTILE, input=TAGS[-1])
    served = Served(app)
    yield served
    served.stop()
    app.store.close()


@pytest.mark.parametrize(
    ("path", "width"), [*((path, 390) for path in PATHS), *((path, 1280) for path in PATHS[:4])]
)
def test_nothing_runs_and_nothing_overflows(
    hostile: Served, open_page: PageOpener, path: str, width: int
) -> None:
    page = open_page(width)
    page.goto(hostile.url + path)
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator(".loading")).to_have_count(0)

    assert page.locator(".failure").count() == 0
    assert overflow(page) <= 0
    assert page.locator("img[src=x], svg[onload], script:not([src])").count() == 0


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    root = "document.documentElement"
    width: int = page.evaluate(f"Math.max({root}.scrollWidth, document.body.scrollWidth)")
    return width - int(page.evaluate(f"{root}.clientWidth"))


def test_a_tag_cannot_turn_the_text_beside_it(hostile: Served, page: Page) -> None:
    page.goto(f"{hostile.url}/palettes/{quote(SEEDS[0], safe='')}")
    tag = page.locator(".votes bdi", has_text="gnp.exe").first

    expect(tag).to_be_visible()
    assert tag.evaluate("element => getComputedStyle(element).unicodeBidi") == "isolate"


def test_long_text_opens_on_a_click_and_stays_in_its_box(hostile: Served, page: Page) -> None:
    page.goto(f"{hostile.url}/palettes/{quote(SEEDS[0], safe='')}")
    long = page.locator("details.long:visible").first
    long.locator("summary").click()

    expect(long.locator("pre")).to_be_visible()
    assert overflow(page) <= 0


def test_what_is_typed_is_text(hostile: Served, page: Page) -> None:
    page.goto(f"{hostile.url}/palettes")
    page.get_by_label("Seed contains").fill(TAGS[1])
    page.get_by_role("button", name="Show").click()

    expect(page.get_by_label("Seed contains")).to_have_value(TAGS[1])
    expect(page.locator("#palettes-stored")).to_contain_text("No palette is like that")
