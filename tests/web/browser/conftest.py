"""A real browser, and dashboards in processes of their own for it to look at."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from benchmarks.arena import Home
from benchmarks.browser import find_browser
from benchmarks.postgres import store_url
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.store.engine import open_store
from grabient_ops.store.palettes import NewPalette
from grabient_ops.store.palettes import add_palettes as add_to_store

_USUAL = re.compile(r"net::ERR_|htmx:sse:error|status of (401|429)")
_PATIENCE_S = 60.0
expect.set_options(timeout=_PATIENCE_S * 1000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window. A module at a time, for it keeps an event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        yield browser
        browser.close()


@dataclass
class Watch:
    """What must not happen in a page.

    Attributes:
        errors: scripts that failed or were refused, dialogs that opened; a server that is not
            there, or asks for a password, is part of some tests.
        strangers: addresses on other hosts that were asked.
    """

    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        """Watch a page."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        page.on("request", self._note_host)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _USUAL.search(message.text):
            self.errors.append(message.text)

    def _note_host(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.strangers.append(request.url)


PageOpener = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[PageOpener]:
    """Opens pages of a width and a colour scheme; after the test, nothing may have gone wrong."""
    watch = Watch()
    contexts = []

    def open_(width: int = 1280, scheme: str = "light") -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        page = context.new_page()
        watch.over(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert watch == Watch()


@pytest.fixture
def page(open_page: PageOpener) -> Page:
    """One page, as on a desk."""
    return open_page()


class Dashboard:
    """`grabient-ops serve` in a process of its own."""

    def __init__(self, home: Home, *words: str) -> None:
        self.home = home
        self._words = words
        self._port = 0
        self.start()

    def start(self) -> None:
        """Start it, on the same port as before."""
        self.process = self.home.start("serve", "--port", str(self._port), "--json", *self._words)
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise RuntimeError(self.process.communicate()[1])
        self.url: str = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """End it as a power cut would, with all that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


DashboardStarter = Callable[..., Dashboard]


@pytest.fixture
def start_dashboard() -> Iterator[DashboardStarter]:
    """Starts dashboards; they are killed after the test."""
    running: list[Dashboard] = []

    def start(home: Home, *words: str) -> Dashboard:
        running.append(Dashboard(home, *words))
        return running[-1]

    yield start
    for one in running:
        one.kill()


def add_palettes(home: Home, *seeds: str) -> None:
    """Commit palettes from this process, which is none of the dashboard's."""
    store = open_store(store_url(home.path))
    with store.write() as connection:
        rows = [NewPalette(seed, "aligned", seed, "test") for seed in seeds]
        add_to_store(connection, rows, datetime.now(UTC))
    store.close()


@pytest.fixture
def home(tmp_path: Path, empty_home: Path) -> Home:
    """A home with three palettes, pointed nowhere."""
    home = Home(shutil.copytree(empty_home, tmp_path / "home"), {})
    add_palettes(home, *invented_seeds(3))
    return home


class Wire:
    """What stands between a browser and a server, and can be cut."""

    def __init__(self, url: str) -> None:
        self._to = int(url.rpartition(":")[2])
        self._open: list[socket.socket] = []
        self._listener = self._listen(0)
        self._port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def cut(self) -> None:
        """Break all connections, and let no new one be made."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def mend(self) -> None:
        """Let connections be made again."""
        self._listener = self._listen(self._port)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=ends, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way, until either end hangs up."""
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire_to() -> Iterator[Callable[[str], Wire]]:
    """Lays wires; they are cut after the test."""
    wires: list[Wire] = []

    def lay(url: str) -> Wire:
        wires.append(Wire(url))
        return wires[-1]

    yield lay
    for wire in wires:
        wire.cut()


def stay(page: Page) -> None:
    """Leave a mark that is gone when the page is loaded again."""
    page.evaluate("window.stayed = true")


def has_stayed(page: Page) -> bool:
    """Whether the page is still the same."""
    return bool(page.evaluate("window.stayed === true"))
