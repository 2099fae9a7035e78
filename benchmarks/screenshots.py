"""Takes pictures of every page, light and dark, on a desk and on a phone, for docs/screenshots."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from benchmarks.arena import Home, start_sandbox
from benchmarks.browser import find_browser
from grabient_ops.pipeline.prompting import builtin_prompt

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_HEIGHTS = {1280: 1400, 390: 1400}
"""Width of the window -> most of a page that is shown."""
_COLOURFUL = {"palettes", "palette", "search"}
_PALETTES = 36
_MODEL = "groq/openai/gpt-oss-20b"
_SLOW = "openai/gpt-4o-mini"
_QUERY = """SELECT model, category, count(*) AS votes, count(DISTINCT tag) AS tags
FROM votes
GROUP BY ALL
ORDER BY votes DESC"""


def main() -> None:
    """Fill a home, serve it, and look at it; words on the command line choose pages."""
    chosen = sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="grabient-ops-") as folder,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser())
        with _filled(Path(folder) / "home") as home, _served(home) as url:
            addresses = _addresses(home)
            for name in addresses:
                if not chosen or name in chosen:
                    _take_all(browser, name, url + addresses[name])


@contextmanager
def _filled(path: Path) -> Iterator[Home]:
    """Yield a home with a pass behind it, one under a second prompt, and one on its way."""
    home = Home(path, {})
    home.run("demo", "--palettes", str(_PALETTES), "--runs", "3", timeout_s=600)
    prompt = path / "second.md"
    prompt.write_text(builtin_prompt("tagging").content + "\nPrefer words of weather and sea.\n")
    home.run("prompts", "register", str(prompt), "-m", "Words of weather and sea")
    quick, slow = start_sandbox(latency_s=0.1), start_sandbox(latency_s=3600)
    try:
        home.env.update(quick.env)
        home.run("tag", "--runs", "2", "--budget", "25", "--wait", timeout_s=600)
        home.env.update(slow.env)
        home.run("tag", "--runs", "3", "--model", _MODEL, "--model", _SLOW)
        yield home
    finally:
        quick.stop()
        slow.stop()


@contextmanager
def _served(home: Home) -> Iterator[str]:
    process = home.start("serve", "--port", "0", "--json")
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield str(json.loads(line)["url"])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _addresses(home: Home) -> dict[str, str]:
    """Return what to look at: name of the picture -> path and query."""
    seed: str = home.json("palettes", "list")[7]["seed"]
    batches: list[dict[str, Any]] = home.json("batches", "list")
    done = next(
        batch["id"]
        for batch in batches
        if batch["state"] == "completed" and batch["request_count"] == _PALETTES
    )
    new, old = (
        prompt["version"] for prompt in home.json("prompts", "list") if prompt["kind"] == "tagging"
    )
    views = ("tags", "prompts", "agreement", "accuracy", "convergence", "cost", "errors")
    return {
        "overview": "/",
        "palettes": "/palettes",
        "palette": f"/palettes/{quote(seed, safe='')}",
        "search": f"/search?{urlencode({'q': 'night by the sea'})}",
        "new-job": "/jobs/new",
        "refine": "/refine",
        "workflow": f"/workflows/{done}",
        "history": "/history",
        "errors": "/errors",
        "prompts": "/prompts",
        "prompt": f"/prompts/{new}?against={old}",
        **{f"analytics-{view}": f"/analytics?view={view}" for view in views},
        "sql": f"/sql?{urlencode({'sql': _QUERY})}",
        "models": "/models",
        "settings": "/settings",
    }


def _take_all(browser: Browser, name: str, address: str) -> None:
    for scheme, width in product(_SCHEMES, _HEIGHTS):
        viewport = ViewportSize(width=width, height=844 if width < 600 else 900)
        with browser.new_context(
            viewport=viewport,
            color_scheme=scheme,
            bypass_csp=True,  # for the style below
        ) as context:
            page = context.new_page()
            page.goto(address)
            page.add_style_tag(content="html { scrollbar-gutter: auto !important }")
            _settle(page, name)
            path = FOLDER / f"{name}-{scheme}-{width}.png"
            picture = _cut(page.screenshot(full_page=True), _HEIGHTS[width])
            path.write_bytes(_encode(picture, colourful=name in _COLOURFUL))
            print(path.name)


def _settle(page: Page, name: str) -> None:
    expect(page.locator("#connection")).to_have_text("live")
    if name == "sql":
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#answer-heading")).to_be_visible(timeout=20_000)
    if name == "new-job":
        page.get_by_label("Runs").fill("3")
    expect(page.locator(".loading, .htmx-request")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(400)


def _cut(picture: bytes, most: int) -> Image.Image:
    whole = Image.open(BytesIO(picture)).convert("RGB")
    return whole.crop((0, 0, whole.width, min(whole.height, most)))


def _encode(picture: Image.Image, *, colourful: bool) -> bytes:
    """Write a picture with 256 colours, a quarter of the bytes, unless it shows many gradients."""
    content = BytesIO()
    less = picture if colourful else picture.quantize(256, dither=Image.Dither.NONE)
    less.save(content, "png", optimize=True)
    return content.getvalue()


if __name__ == "__main__":
    main()
