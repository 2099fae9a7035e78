"""Those who watch in the live benchmark: event streams without a browser, and Chromium itself."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.live_writer import REQUESTS

CHROMIUM = "/usr/bin/chromium"
_MARK = re.compile(rf">([\d,]+) of {REQUESTS:,}<".encode())
_LARGEST_EVENT = 1 << 22
# From the change of the tree to the frame that shows it: its callback, and the task after it.
_OBSERVE = """(requests) => {
  const seen = window.seen = [];
  const panel = document.querySelector("#overview-workflows");
  new MutationObserver(() => {
    const texts = [...panel.querySelectorAll(".done")].map((element) => element.textContent);
    const ours = texts.filter((text) => text.endsWith(requests));
    const marks = ours.map((text) => parseInt(text.replaceAll(",", "")));
    requestAnimationFrame(() => setTimeout(() => {
      seen.push([Math.max(0, ...marks), (performance.timeOrigin + performance.now()) / 1000]);
    }));
  }).observe(panel, {subtree: true, childList: true, characterData: true});
}"""


@dataclass
class Watched:
    """What one viewer has seen.

    Attributes:
        seen: the number of a commit -> when it, or a later one, was there.
        size: bytes received.
    """

    seen: list[tuple[int, float]] = field(default_factory=list)
    size: int = 0

    def latencies_ms(self, commits: list[tuple[int, float]]) -> list[float]:
        """Return for every commit how long it took until it, or a later one, was seen.

        A commit that was never seen took for ever.
        """
        found = []
        seen = sorted(self.seen)
        for number, at in commits:
            while seen and seen[0][0] < number:
                seen.pop(0)
            found.append((seen[0][1] - at) * 1000 if seen else float("inf"))
        return found


@contextlib.asynccontextmanager
async def streams(url: str, count: int) -> AsyncIterator[list[Watched]]:
    """Follow the first page with so many streams."""
    watched = [Watched() for _ in range(count)]
    tasks = [asyncio.create_task(_follow(url, one)) for one in watched]
    await asyncio.sleep(1.0)
    yield watched
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(url: str, watched: Watched) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=_LARGEST_EVENT)
    with contextlib.closing(writer):
        writer.write(f"GET /live HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        await reader.readuntil(b"\nid: ")
        while True:
            event = await reader.readuntil(b"\n\n")
            watched.size += len(event)
            marks = _MARK.findall(event)
            if marks:
                newest = max(int(mark.replace(b",", b"")) for mark in marks)
                watched.seen.append((newest, time.time()))


@contextlib.asynccontextmanager
async def chromium(url: str) -> AsyncIterator[Watched]:
    """Look at the first page with a browser; what it drew is there after the block."""
    from playwright.async_api import async_playwright

    watched = Watched()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(url)
        await page.locator('#connection[data-state="live"]').wait_for()
        await page.evaluate(_OBSERVE, f"of {REQUESTS:,}")
        yield watched
        seen: list[Any] = await page.evaluate("window.seen")
        watched.seen = [(int(number), at) for number, at in seen]
        await browser.close()
