"""Signing in and out, where there is a password."""

import subprocess

import pytest
from playwright.sync_api import Page, expect

from benchmarks.arena import COMMAND, Home
from tests.web.browser.conftest import Dashboard, DashboardStarter

PASSWORD = "correct horse battery staple"


@pytest.fixture
def closed(home: Home, start_dashboard: DashboardStarter) -> Dashboard:
    """A dashboard with a password."""
    subprocess.run(
        [*COMMAND, "auth", "password"], input=PASSWORD, env=home.environment, text=True, check=True
    )
    return start_dashboard(home, "--no-worker")


def sign_in(page: Page, secret: str) -> None:
    page.get_by_label("Password").fill(secret)
    page.get_by_role("button", name="Sign in").click()


def test_the_password_leads_to_the_page_that_was_asked_for(page: Page, closed: Dashboard) -> None:
    page.goto(f"{closed.url}/palettes")
    expect(page.get_by_role("heading", name="Palettes")).to_have_count(0)
    sign_in(page, PASSWORD)

    expect(page.get_by_role("heading", name="Palettes", exact=True)).to_be_visible()
    expect(page.locator("#connection")).to_have_text("live")


def test_a_wrong_password_leads_nowhere(page: Page, closed: Dashboard) -> None:
    page.goto(closed.url)
    sign_in(page, PASSWORD.upper())

    expect(page.get_by_role("alert")).to_have_text("That is neither the password nor a token.")
    page.goto(closed.url)
    expect(page.get_by_label("Password")).to_be_visible()


def test_many_tries_have_to_wait(page: Page, closed: Dashboard) -> None:
    page.goto(closed.url)
    for _ in range(30):
        sign_in(page, "guess")
        expect(page.get_by_role("alert")).to_be_visible()
        if "Too many tries" in page.get_by_role("alert").inner_text():
            break

    expect(page.get_by_role("alert")).to_contain_text("Too many tries")
    sign_in(page, PASSWORD)
    expect(page.get_by_role("alert")).to_contain_text("Too many tries")


def test_signing_out_closes_the_door_behind_one(page: Page, closed: Dashboard) -> None:
    page.goto(f"{closed.url}/palettes")
    sign_in(page, PASSWORD)
    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_label("Password")).to_be_visible()
    page.goto(f"{closed.url}/palettes")
    expect(page.get_by_label("Password")).to_be_visible()
