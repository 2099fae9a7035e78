"""What holds for every page in a browser: it fits, it can be read, it asks nobody else."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from grabient_ops.web.pages import PAGES
from grabient_ops.web.pages.analytics_panels import PANELS
from tests.web.browser.conftest import PageOpener
from tests.web.conftest import Served

PATHS = [page.path for page in PAGES]
VIEWS = [view for view in PANELS if view != "tags"]
SPILL = "cell => cell.scrollWidth - cell.clientWidth"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@cache
def axe() -> str:
    """The script that looks for what people with disabilities would stumble over."""
    return (files("axe_playwright_python") / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def addresses(full: Served, address_of: Callable[[str, Served], str]) -> dict[str, str]:
    """Path of every page -> an address of it."""
    return {path: address_of(path, full) for path in PATHS}


def visit(page: Page, address: str) -> None:
    """Open a page and wait until all of it is there."""
    page.goto(address)
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator(".loading, .htmx-request")).to_have_count(0)


def complaints(page: Page) -> list[str]:
    """Return what axe finds, with the elements it is about."""
    page.evaluate(axe())
    options = {"runOnly": _RULES, "resultTypes": ["violations"]}
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("path", PATHS)
def test_every_page_fits_and_can_be_read_by_everybody(
    full: Served,
    addresses: dict[str, str],
    open_page: PageOpener,
    path: str,
    width: int,
    scheme: str,
) -> None:
    page = open_page(width, scheme)
    visit(page, full.url + addresses[path])

    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".failure").count() == 0


@pytest.mark.parametrize("view", VIEWS)
def test_every_chart_fits_and_can_be_read_by_everybody(
    full: Served, open_page: PageOpener, view: str
) -> None:
    page = open_page(390, "dark")
    visit(page, f"{full.url}/analytics?view={view}")

    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # A number that is wider than its column stands over the edge of the card.
    numbers = page.locator(".bars td.num").all()
    assert [one.inner_text() for one in numbers if one.evaluate(SPILL) > 0] == []


def test_the_menu_opens_on_a_phone_and_by_the_keyboard(full: Served, open_page: PageOpener) -> None:
    page = open_page(390)
    visit(page, full.url)
    expect(page.get_by_role("link", name="Analytics")).to_be_hidden()
    page.get_by_role("button", name="Menu").press("Enter")

    expect(page.get_by_role("link", name="Analytics")).to_be_visible()
    page.get_by_role("link", name="Analytics").click()
    expect(page.get_by_role("heading", name="Analytics")).to_be_visible()


def test_the_theme_is_kept(full: Served, page: Page) -> None:
    visit(page, full.url)
    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
