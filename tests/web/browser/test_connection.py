"""A page outlives its server and its connection: it says so, and catches up by itself."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from benchmarks.arena import Home
from grabient_ops.palettes.invented import invented_seeds
from tests.web.browser.conftest import DashboardStarter, Wire, add_palettes, has_stayed, stay

OTHERS = invented_seeds(5)[3:]
"""What `home` does not have yet."""


def test_a_commit_reaches_an_open_page(
    page: Page, home: Home, start_dashboard: DashboardStarter
) -> None:
    page.goto(start_dashboard(home, "--no-worker").url)
    stay(page)
    expect(page.locator("#overview-cards")).to_contain_text("3")
    add_palettes(home, *OTHERS)

    expect(page.locator("#overview-cards dd").first).to_have_text("5")
    assert has_stayed(page)


def test_a_lost_connection_is_said_and_made_up_for(
    page: Page, home: Home, start_dashboard: DashboardStarter, wire_to: Callable[[str], Wire]
) -> None:
    wire = wire_to(start_dashboard(home, "--no-worker").url)
    page.goto(f"{wire.url}/palettes")
    stay(page)
    expect(page.locator("#connection")).to_have_text("live")
    wire.cut()
    expect(page.locator("#connection")).to_have_text("reconnecting")
    add_palettes(home, *OTHERS)
    wire.mend()

    expect(page.locator(".tile")).to_have_count(5)
    expect(page.locator("#connection")).to_have_text("live")
    assert has_stayed(page)


def test_a_killed_and_restarted_server_costs_nothing_that_was_typed(
    page: Page, home: Home, start_dashboard: DashboardStarter
) -> None:
    dashboard = start_dashboard(home, "--no-worker")
    page.set_viewport_size({"width": 500, "height": 300})
    page.goto(f"{dashboard.url}/palettes")
    stay(page)
    expect(page.locator("#connection")).to_have_text("live")
    field = page.get_by_label("Seed contains")
    field.fill("half a word")
    page.evaluate("scrollTo(0, 120)")

    dashboard.kill()
    expect(page.locator("#connection")).to_have_text("reconnecting")
    add_palettes(home, *OTHERS)
    dashboard.start()

    expect(page.locator(".tile")).to_have_count(5)
    expect(page.locator("#connection")).to_have_text("live")
    expect(field).to_have_value("half a word")
    expect(field).to_be_focused()
    assert page.evaluate("scrollY") == 120
    assert has_stayed(page)
