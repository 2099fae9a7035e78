"""What every test may use: a clean environment, a sandbox, a PostgreSQL server, and a store on it.

`pytest --database postgresql` has every home of every test on PostgreSQL instead of SQLite.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from benchmarks.arena import Sandbox, start_sandbox
from benchmarks.postgres import (
    SERVER_VARIABLE,
    Server,
    give_back,
    make_template,
    running_server,
)

# A busy machine is no reason to fail. A change is judged by the same examples as the one before;
# `pytest --hypothesis-profile=search` looks for new ones.
_ON_BUSY_MACHINES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", _ON_BUSY_MACHINES)
settings.register_profile("same", _ON_BUSY_MACHINES, derandomize=True)
settings.load_profile("same")

_PROVIDER_VARIABLES = ("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "GROQ_", "GRABIENT_OPS_")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, host or setting of the developer's reaches a test; loopback needs no proxy."""
    for name in list(os.environ):
        if name.startswith(_PROVIDER_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    choices = ["sqlite", "postgresql"]
    parser.addoption("--database", choices=choices, default="sqlite", help="Where all stores are.")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, for all tests that want one."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _all_on_one_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--database postgresql`, `store_url` names databases on the server."""
    if request.config.option.database == "sqlite":
        yield
        return
    server: Server = request.getfixturevalue("server")
    make_template(server)
    os.environ[SERVER_VARIABLE] = str(server.folder)
    yield
    gc.collect()  # while the warning below is still ignored


@pytest.fixture(autouse=True)
def _no_database_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test's databases go with it, as its folder does."""
    folder: Path | None = None
    if "tmp_path" in request.fixturenames:
        folder = request.getfixturevalue("tmp_path")
    yield
    if folder is not None:
        give_back(folder)


def pytest_configure(config: pytest.Config) -> None:
    if config.option.database == "postgresql":
        # A command hangs up when its process ends; here many commands share one process.
        ignored = r"ignore:<psycopg\.Connection.*was deleted while still open:ResourceWarning"
        config.addinivalue_line("filterwarnings", ignored)


SandboxStarter = Callable[..., Sandbox]


def _started() -> Iterator[SandboxStarter]:
    running: list[Sandbox] = []

    def start(*options: str, latency_s: float = 0.1, seed: int = 7) -> Sandbox:
        running.append(start_sandbox(*options, latency_s=latency_s, seed=seed))
        return running[-1]

    yield start
    for sandbox in running:
        if sandbox.process.poll() is None:
            sandbox.stop()


sandbox_starter = pytest.fixture(_started, name="sandbox_starter")
"""Starts sandboxes with options of one's own; they are stopped after the test."""

many_sandboxes = pytest.fixture(_started, name="many_sandboxes", scope="module")
"""The same, stopped after the module."""

_session_sandboxes = pytest.fixture(_started, name="_session_sandboxes", scope="session")


@pytest.fixture(scope="session")
def _one_sandbox(_session_sandboxes: SandboxStarter) -> Sandbox:
    return _session_sandboxes(latency_s=0.04)


@pytest.fixture
def shared_sandbox(_one_sandbox: Sandbox) -> Iterator[Sandbox]:
    """One sandbox for many tests: quick to have, with other tests' batches in it.

    Faults that a test switches on are switched off after it.
    """
    yield _one_sandbox
    _one_sandbox.faults(**dict.fromkeys(_one_sandbox.call("/sandbox/faults"), 0.0))


@pytest.fixture
def sandbox(sandbox_starter: SandboxStarter) -> Sandbox:
    """A fresh sandbox without faults; batches end 0.1 s after their creation."""
    return sandbox_starter()
