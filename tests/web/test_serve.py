"""`grabient-ops serve` as a process: it starts, works, gives way, and ends when it is told."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.arena import Home, Sandbox
from benchmarks.fleet import Fleet, until
from benchmarks.postgres import Server, store_url
from grabient_ops.app import DEMO_NOTE
from grabient_ops.store.engine import open_store
from grabient_ops.store.notes import set_note
from grabient_ops.web.server import listen

if TYPE_CHECKING:
    from tests.web.conftest import Viewer

PATIENCE_S = 60.0
Starter = Callable[..., "Process"]


class Process:
    """A dashboard in a process of its own."""

    def __init__(self, home: Home, *words: str) -> None:
        self.process = home.start("serve", "--port", "0", "--json", *words)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.communicate()[1])
        self.url: str = json.loads(line)["url"]

    def get(self, path: str = "/") -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as response:  # noqa: S310 - loopback
            text: str = response.read().decode()
        return text

    def until_shown(self, text: str) -> None:
        """Wait until the first page shows a text."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.get():
            assert time.monotonic() < deadline, text
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float, str]:
        """Send a signal; return exit code, seconds, and what was said on stderr."""
        begun = time.monotonic()
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, time.monotonic() - begun, said


@pytest.fixture
def starter(home: Home) -> Iterator[Starter]:
    """Starts dashboards of the home; those that still run are ended after the test."""
    running: list[Process] = []

    def start(*words: str) -> Process:
        running.append(Process(home, *words))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path, shared_sandbox: Sandbox) -> Home:
    """A home that is pointed at the sandbox."""
    return Home(tmp_path / "home", dict(shared_sandbox.env))


def test_it_ends_at_once_however_many_pages_are_open(
    starter: Starter, viewer_of: Callable[[str], "Viewer"]
) -> None:
    served = starter("--no-worker")
    viewers = [viewer_of(f"{served.url}/live") for _ in range(10)]
    for viewer in viewers:
        viewer.next()

    code, seconds, said = served.end()

    assert (code, said) == (0, "")
    assert seconds < 10
    for viewer in viewers:
        with pytest.raises(EOFError):
            viewer.next()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_while_its_worker_works(starter: Starter, number: int) -> None:
    served = starter()
    served.until_shown("worker here")

    code, seconds, _ = served.end(number)

    assert code == 0
    assert seconds < 10


def test_it_works_on_what_is_asked_for(starter: Starter, home: Home) -> None:
    home.add_palettes(2)
    served = starter()
    home.run("tag", "--runs", "1", "--model", "groq/openai/gpt-oss-20b")

    served.until_shown('<dd>2</dd><dd class="muted">100 % of 2</dd>')
    served.until_shown("completed")


def test_on_sqlite_it_gives_way_to_another_worker_and_takes_over_from_it(
    starter: Starter, home: Home
) -> None:
    home.env["GRABIENT_OPS_DATABASE_URL"] = f"sqlite:///{home.path / 'store.sqlite'}"
    worker = home.start("worker")
    while not (home.path / "worker.lock").is_file() or not (home.path / "worker.lock").read_text():
        time.sleep(0.05)
    served = starter()
    served.until_shown("another worker")

    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE_S)

    served.until_shown("worker here")


def test_a_worker_that_cannot_work_is_shown(starter: Starter, home: Home) -> None:
    home.add_palettes(1)
    store = open_store(store_url(home.path))
    with store.write() as connection:
        set_note(connection, DEMO_NOTE, "yes")
    store.close()
    home.env["OPENAI_BASE_URL"] = "https://api.example/v1"
    served = starter()

    served.until_shown("worker failed")
    assert "is a demo" in served.get()


def test_a_worker_that_lost_its_lease_ends_the_server_which_then_works_again(
    tmp_path: Path, server: Server, shared_sandbox: Sandbox
) -> None:
    fleet = Fleet(tmp_path, server.create(f"serve_{time.monotonic_ns()}"), shared_sandbox)
    served = Process(fleet.home("machine-1"))
    fleet.workers[1] = served.process
    try:
        until(lambda: fleet.executor(1))
        fleet.start(2)
        until(lambda: fleet.executor(2))

        fleet.send(1, signal.SIGSTOP)
        until(lambda: not fleet.executor(1))
        fleet.send(1, signal.SIGCONT)
        _, said = served.process.communicate(timeout=PATIENCE_S)

        assert served.process.returncode == 1
        assert said.splitlines()[-1].startswith("error: this worker was not heard of for too long")
        again = Process(fleet.home("machine-1"))  # as systemd does
        fleet.workers[1] = again.process
        again.until_shown("worker here")
    finally:
        fleet.stop()


def test_a_port_that_is_taken_is_one_sentence(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = home.run("serve", "--port", port, fails=True)

    assert said == f"error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


def test_updates_are_not_held_back_for_an_acknowledgement() -> None:
    """Only with its protocol number does asyncio switch Nagle's algorithm off: 40 ms an update."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_help_loads_no_web_framework() -> None:
    script = (
        "import sys; sys.argv = ['grabient-ops', '--help']\n"
        "from grabient_ops.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'jinja2', 'duckdb'} & set(sys.modules)))"
    )
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )

    assert "serve" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
