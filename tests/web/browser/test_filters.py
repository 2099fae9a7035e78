"""Whose answers count is chosen on a phone, by the keyboard alone."""

import pytest
from playwright.sync_api import expect

from tests.web.browser.conftest import PageOpener
from tests.web.browser.test_hostile import overflow
from tests.web.conftest import SEEDS, Served, Shelf


@pytest.mark.parametrize("path", ["/palettes", "/analytics"])
def test_a_source_is_chosen_by_the_keyboard_on_a_phone(
    served: Served, shelf: Shelf, open_page: PageOpener, path: str
) -> None:
    shelf.fill()
    taken = {"source": "d1", "source_id": "1", "model": "older"}
    shelf.answer(shelf.batch("imported"), SEEDS[3], tags={"mood": ["of old"]}, **taken)
    served.get("/analytics")  # what may be chosen there is known once the warehouse is
    page = open_page(390)
    page.goto(served.url + path)
    choice = page.get_by_label("Source")
    while not choice.is_visible():
        page.reload()

    assert overflow(page) <= 0
    choice.focus()
    page.keyboard.press("d")
    expect(choice).to_have_value("d1")
    page.get_by_role("button", name="Show", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**source=d1*")

    expect(page.get_by_label("Source")).to_have_value("d1")
    shown = "of old" if path == "/analytics" else SEEDS[3]
    expect(page.locator("main")).to_contain_text(shown)
    expect(page.locator("main")).not_to_contain_text(SEEDS[0])
    assert overflow(page) <= 0
