"""Work is asked for, watched, cancelled and done again, with a mouse."""

import time

from playwright.sync_api import Page, expect

from benchmarks.arena import Home, Sandbox
from tests.conftest import SandboxStarter
from tests.web.browser.conftest import DashboardStarter, has_stayed, stay

MODEL = "groq/openai/gpt-oss-20b"


def point_at(home: Home, sandbox: Sandbox) -> Home:
    """Let the sandbox stand in for all providers of a home."""
    home.env.update(sandbox.env)
    return home


def choose_one_model(page: Page) -> None:
    """Tick one model of all."""
    page.get_by_label("all of them").check()
    page.get_by_label("all of them").uncheck()
    page.locator(f'input[value="{MODEL}"]').check()


def test_a_job_is_started_from_the_form_and_watched_to_its_end(
    page: Page, home: Home, shared_sandbox: Sandbox, start_dashboard: DashboardStarter
) -> None:
    page.goto(f"{start_dashboard(point_at(home, shared_sandbox)).url}/jobs/new")
    choose_one_model(page)
    page.get_by_label("Runs").fill("2")
    expect(page.locator("#outlook")).to_contain_text("6")
    page.get_by_role("button", name="Start tagging").click()

    expect(page.get_by_text("6 requests are due for 3 palettes")).to_be_visible()
    stay(page)
    expect(page.locator("#overview-cards")).to_contain_text("100 % of 6")
    expect(page.locator("#overview-workflows")).to_contain_text("completed")
    assert has_stayed(page)
    assert home.json("status")["models"][0]["succeeded"] == 6


def test_a_batch_is_cancelled(
    page: Page, home: Home, sandbox_starter: SandboxStarter, start_dashboard: DashboardStarter
) -> None:
    page.goto(start_dashboard(point_at(home, sandbox_starter(latency_s=600))).url)
    home.run("tag", "--model", MODEL)
    page.locator("#overview-workflows").get_by_role("link", name="openai/gpt-oss-20b").click()
    stay(page)
    expect(page.locator("#workflow-heading")).to_have_text("waiting")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel this batch").click()

    expect(page.locator("#notices")).to_contain_text("It will be cancelled")
    expect(page.locator("#workflow-heading")).to_have_text("canceled")
    expect(page.get_by_text("Cancel…")).to_have_count(0)
    assert has_stayed(page)


def test_a_workflow_is_restarted_and_nothing_is_paid_twice(
    page: Page, home: Home, sandbox_starter: SandboxStarter, start_dashboard: DashboardStarter
) -> None:
    sandbox = sandbox_starter(latency_s=0.1)
    point_at(home, sandbox).run("tag", "--model", MODEL, "--wait")
    billed = sandbox.ledger()["requests_billed"]
    (batch,) = home.json("batches", "list")
    page.goto(f"{start_dashboard(home).url}/workflows/{batch['id']}")
    expect(page.locator("#workflow-heading")).to_have_text("completed")
    stay(page)
    before = page.locator("#workflow-steps time").first.get_attribute("datetime")
    time.sleep(1)
    page.get_by_text("Restart from here…").first.click()
    page.get_by_role("button", name="Restart from").first.click()

    expect(page.locator("#notices")).to_contain_text("It goes on as soon as a worker runs.")
    expect(page.locator("#workflow-steps time").first).not_to_have_attribute(
        "datetime", before or ""
    )
    expect(page.locator("#workflow-id + .muted")).to_have_text("done")
    assert has_stayed(page)
    assert sandbox.ledger()["requests_billed"] == billed
