"""What every test may use: a clean environment and a sandbox in a process of its own."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from benchmarks.arena import Sandbox, start_sandbox

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")

_PROVIDER_VARIABLES = ("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "GROQ_", "GRABIENT_OPS_")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, host or setting of the developer's reaches a test; loopback needs no proxy."""
    for name in list(os.environ):
        if name.startswith(_PROVIDER_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


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
