import asyncio
import re
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote, urlencode, urlsplit

import pytest
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from structlog.testing import capture_logs
from structlog.typing import EventDict

from benchmarks.postgres import database_env
from grabient_ops.app import App
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.pipeline.prompting import builtin_prompt
from grabient_ops.settings import Settings
from grabient_ops.store.batches import list_batches, reserve_batch, update_batch
from grabient_ops.store.changes import announce
from grabient_ops.store.palettes import NewPalette, add_palettes
from grabient_ops.store.prompts import PromptVersion, register_prompt
from grabient_ops.store.tables import palette_tag_refined, palette_tags, targets
from grabient_ops.store.targets import ModelTarget, Unanswered
from grabient_ops.web.app import create_web
from grabient_ops.web.parts import Web
from grabient_ops.web.server import listen

DATABASE_VARIABLE = "GRABIENT_OPS_DATABASE_URL"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEEDS = bundled_seeds()[:6]
HOSTILE = "<script>alert(1)</script>\u202egnp.exe"
"""What a model may say: markup, and a turn of the writing direction."""
_ID = re.compile(r"hx-target=\"#([^\"]+)\"")


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """What was logged, instead of a page of traceback on the screen."""
    with capture_logs() as entries:
        yield entries


def open_app(home: Path) -> App:
    """Make the parts of a home, on the database that all tests are on."""
    return App(Settings(home=home, database_url=database_env(home).get(DATABASE_VARIABLE)))


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an empty store, to be copied: that is quicker than to migrate one each time."""
    home = tmp_path_factory.mktemp("empty") / "home"
    App(Settings(home=home)).store.close()
    return home


@pytest.fixture
def app(empty_home: Path, tmp_path: Path) -> Iterator[App]:
    """A home of its own."""
    app = open_app(shutil.copytree(empty_home, tmp_path / "home"))
    yield app
    app.store.close()


class Shelf:
    """What the home holds, put there by hand, under the current prompt."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.version = builtin_prompt("tagging").version
        self.model = ModelTarget(self.version, "groq", "openai/gpt-oss-20b", 2)

    def register(self) -> None:
        """Keep the built-in prompt."""
        prompt = builtin_prompt("tagging")
        row = PromptVersion(prompt.version, prompt.kind, prompt.content, prompt.message, NOW)
        with self.app.store.write() as connection:
            register_prompt(connection, row)

    def palettes(self, *seeds: str) -> None:
        """Add palettes."""
        rows = [NewPalette(seed, "aligned", seed, "test") for seed in seeds]
        with self.app.store.write() as connection:
            add_palettes(connection, rows, NOW)

    def ask(self, *seeds: str, runs: int = 2) -> None:
        """Want palettes to be tagged."""
        names = (targets.c.prompt_version, targets.c.provider, targets.c.model)
        same = dict(zip((name.name for name in names), self.model, strict=False))
        rows = [{**same, "seed": seed, "target_runs": runs} for seed in seeds]
        with self.app.store.write() as connection:
            connection.execute(sa.insert(targets), rows)

    def batch(self, *seeds: str, state: str = "waiting", **values: object) -> str:
        """Reserve a batch and set some of its columns; return its id."""
        asked = [Unanswered(seed, 1) for seed in seeds]
        with self.app.store.write() as connection:
            batch_id = reserve_batch(connection, self.model, 1, asked, {"temperature": 1}, NOW)
            update_batch(connection, batch_id, NOW, state=state, **values)
        return batch_id

    def any_batch(self) -> str:
        """Return the id of a batch."""
        with self.app.store.read() as connection:
            return list_batches(connection, limit=1)[0].id

    def update(self, batch_id: str, **values: object) -> None:
        """Change columns of a batch, as a step of its workflow does."""
        with self.app.store.write() as connection:
            update_batch(connection, batch_id, NOW, **values)

    def answer(self, batch_id: str, *seeds: str, **values: object) -> None:
        """Store answers of a batch; good ones unless told."""
        row: dict[str, Any] = {
            "provider": self.model.provider, "model": self.model.model, "model_returned": None,
            "run_number": 1, "prompt_version": self.version, "attempt": 1, "batch_id": batch_id,
            "tags": {"mood": ["calm", HOSTILE]}, "response": f'{{"mood": ["{HOSTILE}"]}}',
            "error_class": None, "error": None, "excused": False, "finish_reason": "stop",
            "parse_stage": "strict", "parser_version": 1, "ambiguous": None, "input_tokens": 700,
            "output_tokens": 90, "cached_tokens": 0, "reasoning_tokens": 0, "created_at": NOW,
        }  # fmt: skip
        rows = [{**row, "seed": seed, **values} for seed in seeds]
        with self.app.store.write() as connection:
            connection.execute(sa.insert(palette_tags), rows)
            update_batch(connection, batch_id, NOW, live_completed=len(seeds))
            announce(connection, "responses", [batch_id], NOW)

    def refine(self, seed: str, **values: object) -> None:
        """Store a refinement; a good one unless told."""
        row: dict[str, Any] = {
            "provider": "anthropic", "model": "claude-opus-4-5", "model_returned": None,
            "run_number": 1, "prompt_version": "refining", "attempt": 1, "batch_id": "refining",
            "tags": {"mood": ["calm"], "dominant_colors": ["blue"]}, "response": "{}",
            "error_class": None, "error": None, "excused": False, "finish_reason": "stop",
            "parse_stage": "strict", "parser_version": 1, "ambiguous": None, "input_tokens": 700,
            "output_tokens": 90, "cached_tokens": 0, "reasoning_tokens": 0, "created_at": NOW,
            "source_prompt_versions": [self.version], "input": "votes", "dropped": None,
            "sentence": None, "embed_text": "blue calm ocean waves",
        }  # fmt: skip
        with self.app.store.write() as connection:
            connection.execute(sa.insert(palette_tag_refined), [{**row, "seed": seed, **values}])
            announce(connection, "refinements", ["refining"], NOW)

    def fill(self) -> None:
        """Put something of everything on the shelf."""
        self.register()
        self.palettes(*SEEDS)
        self.ask(*SEEDS)
        ended = self.batch(*SEEDS[:3], state="completed", ended_at=NOW)
        self.answer(ended, *SEEDS[:2])
        self.answer(
            ended, SEEDS[2], tags=None, response=HOSTILE, error_class="unparsable", error=HOSTILE
        )
        self.batch(*SEEDS[3:], state="waiting", submitted_at=NOW)


@pytest.fixture
def shelf(app: App) -> Shelf:
    """The home's store, to be filled."""
    return Shelf(app)


EXAMPLES: dict[str, Callable[[Shelf], str]] = {
    "/palettes/{seed}": lambda _shelf: f"/palettes/{quote(SEEDS[0], safe='')}",
    "/workflows/{id}": lambda shelf: f"/workflows/{shelf.any_batch()}",
    "/prompts/{version}": lambda shelf: f"/prompts/{shelf.version}",
}
"""Path of a page with parameters -> an address of it, once the shelf is filled."""


class Event(NamedTuple):
    """One update of a page."""

    id: str
    html: str

    @property
    def targets(self) -> list[str]:
        """The ids of the elements that it changes, in order."""
        return _ID.findall(self.html)


class Viewer:
    """A browser's end of a stream."""

    def __init__(self, url: str, last_event_id: str = "", patience_s: float = 5.0) -> None:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - loopback
        self.response: HTTPResponse = urllib.request.urlopen(request, timeout=patience_s)  # noqa: S310 - loopback
        assert self.response.headers["content-type"].startswith("text/event-stream")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()

    def wait_at_most(self, seconds: float) -> None:
        """Let `next` raise TimeoutError when nothing comes for so long."""
        raw: Any = self.response.fp
        raw.raw._sock.settimeout(seconds)

    def next(self) -> Event:
        """Wait for the next event; a stream that ends raises EOFError."""
        name, lines = "", []
        while True:
            line = self.response.readline()
            if not line:
                raise EOFError
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "id":
                name = value
            elif field == "data":
                lines.append(value)
            elif not field and lines:
                return Event(name, "\n".join(lines))


class Answered(NamedTuple):
    """What came of a form."""

    status: int
    headers: dict[str, str]
    html: str

    @property
    def notice(self) -> str:
        """What the next page says, after a redirect."""
        return unquote(self.headers.get("set-cookie", "").partition("=")[2].partition(";")[0])


class Served:
    """A dashboard on a socket of its own, in a thread of this process."""

    def __init__(self, app: App, web: FastAPI | None = None) -> None:
        self.api = web or create_web(app)
        self.web: Web = self.api.state.web
        listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(self.api, log_config=None, access_log=False, ws="none")
        self._server = uvicorn.Server(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,))
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self, listener: socket.socket) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            listener.listen()
            self._loop.call_soon(self._ready.set)
            await self._server.serve(sockets=[listener])

        asyncio.run(serve())

    def open(self, path: str, **headers: str) -> HTTPResponse:
        """Ask for something."""
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310 - loopback
        response: HTTPResponse = urllib.request.urlopen(request, timeout=60)  # noqa: S310 - loopback
        return response

    def get(self, path: str, **headers: str) -> str:
        """Return what a page says."""
        with self.open(path, **headers) as response:
            return response.read().decode()

    def post(self, path: str, *fields: tuple[str, str], **headers: str) -> Answered:
        """Send a form as a page of ours does; redirects are not followed."""
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=10)
        head = {
            "content-type": "application/x-www-form-urlencoded",
            "sec-fetch-site": "same-origin",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        with closing(connection):
            connection.request("POST", path, urlencode(fields), head)
            response = connection.getresponse()
            return Answered(response.status, dict(response.headers), response.read().decode())

    def follow(self, path: str = "/live", last_event_id: str = "") -> Viewer:
        """Open a page's stream."""
        return Viewer(self.url + path, last_event_id)

    def stop(self) -> None:
        """End it as a signal would."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.web.hub.close)
            self._server.should_exit = True
            self._thread.join(60)


@pytest.fixture
def serve(app: App) -> Iterator[Callable[..., Served]]:
    """Starts dashboards of the home; they are stopped after the test."""
    running: list[Served] = []

    def start(**options: Any) -> Served:  # noqa: ANN401 - passed through
        running.append(Served(app, **options))
        return running[-1]

    yield start
    for served in running:
        served.stop()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """A dashboard of the home, without a worker."""
    return serve()


def settled(served: Served, address: str) -> str:
    """Return a page once its slow panels have come."""
    deadline = time.monotonic() + 60
    while "Loading" in (page := served.get(address)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "Loading" not in page
    return page


@contextmanager
def serving_full(app: App) -> Iterator[Served]:
    """Serve a home with something of everything."""
    Shelf(app).fill()
    served = Served(app)
    yield served
    served.stop()
    app.store.close()


@pytest.fixture(scope="module")
def full(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One dashboard for many tests, of a home with something of everything; not to be changed."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("full") / "home")
    with serving_full(open_app(home)) as served:
        yield served


@pytest.fixture(scope="module")
def full_on_sqlite(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same on SQLite, whatever database the other tests are on."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("full-on-sqlite") / "home")
    with serving_full(App(Settings(home=home))) as served:
        yield served


@pytest.fixture(scope="session")
def address_of() -> Callable[[str, Served], str]:
    """Path of a page -> an address of it, at a dashboard that is full."""

    def address(path: str, served: Served) -> str:
        return EXAMPLES[path](Shelf(served.web.app)) if "{" in path else path

    return address


@pytest.fixture
def get_error() -> Callable[..., tuple[int, str]]:
    """Ask for an address that answers with an error; return status and text."""

    def get(url: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - loopback
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=60)  # noqa: S310 - loopback
        with caught.value as response:
            return response.code, response.read().decode()

    return get


@pytest.fixture
def viewer_of() -> Iterator[Callable[[str], Viewer]]:
    """Opens streams by their address; they are closed after the test."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(Viewer(url))
