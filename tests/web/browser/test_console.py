"""The SQL console under a keyboard."""

import pytest
from playwright.sync_api import Page, expect

from grabient_ops.web.pages.sql import EXAMPLES
from tests.web.browser.conftest import has_stayed, stay
from tests.web.conftest import HOSTILE, Served


def run(page: Page, sql: str) -> None:
    """Type a statement and send it off by the keyboard alone."""
    page.locator("#sql").fill(sql)
    page.keyboard.press("Control+Enter")


def test_a_query_is_run_and_answered_in_its_place(full: Served, page: Page) -> None:
    page.goto(f"{full.url}/sql")
    stay(page)
    run(page, "SELECT tag, count(*) AS votes FROM votes GROUP BY tag ORDER BY tag")

    expect(page.get_by_role("heading", name="2 rows")).to_be_visible()
    expect(page.locator(".answer td").first).to_have_text(HOSTILE)
    expect(page.locator("#sql")).to_be_focused()
    assert has_stayed(page)


def test_an_error_is_shown_and_the_next_query_takes_its_place(full: Served, page: Page) -> None:
    page.goto(f"{full.url}/sql")
    run(page, "SELECT nonsense")
    expect(page.locator("#sql-answer")).to_contain_text("Binder Error")
    run(page, "SELECT 42 AS answer")

    expect(page.locator(".answer td")).to_have_text("42")
    expect(page.locator("#sql-answer")).not_to_contain_text("Binder Error")


def test_what_was_run_is_remembered_in_this_browser(full: Served, page: Page) -> None:
    page.goto(f"{full.url}/sql")
    for sql in ("SELECT 1", f"SELECT '{HOSTILE}' AS hostile", "SELECT 1"):
        run(page, sql)
        expect(page.locator("#history-list button").first).to_have_text(sql)
    page.reload()
    expect(page.locator("#history-list button")).to_have_count(2)
    page.locator("#history-list button").nth(1).click()

    expect(page.locator("#sql")).to_have_value(f"SELECT '{HOSTILE}' AS hostile")
    page.get_by_role("button", name="Forget all").click()
    expect(page.locator("#history")).to_be_hidden()


def test_an_example_is_a_beginning(full: Served, page: Page) -> None:
    page.goto(f"{full.url}/sql")
    stay(page)
    page.get_by_role("link", name="Longest answers").click()

    expect(page.locator("#sql")).to_have_value(EXAMPLES["Longest answers"])
    assert has_stayed(page)


@pytest.mark.parametrize(("name", "beginning"), [("CSV", b"n\r\n1"), ("Parquet", b"PAR1")])
def test_an_answer_is_taken_away_as_a_file(
    full: Served, page: Page, name: str, beginning: bytes
) -> None:
    page.goto(f"{full.url}/sql")
    run(page, "SELECT 1 AS n")
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()

    assert download.value.suggested_filename == f"answer.{name.lower()}"
    assert download.value.path().read_bytes().startswith(beginning)
