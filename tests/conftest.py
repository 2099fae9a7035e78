"""What every test may use: a clean environment and a sandbox in a process of its own."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")

_PROVIDER_VARIABLES = ("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "GROQ_", "GRABIENT_OPS_")
_RUN = "import typer; from grabient_ops.cli.sandbox import sandbox; typer.run(sandbox)"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, host or setting of the developer's reaches a test; loopback needs no proxy."""
    for name in list(os.environ):
        if name.startswith(_PROVIDER_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@dataclass
class Sandbox:
    """A running sandbox.

    Attributes:
        url: where it listens.
        env: variables that point the SDKs and grabient-ops at it, keys included.
    """

    url: str
    env: dict[str, str]
    process: subprocess.Popen[str] = field(repr=False)

    def ledger(self) -> dict[str, Any]:
        """What was accepted and billed."""
        return self.call("/sandbox/ledger")

    def entry(self, batch_id: str) -> dict[str, Any]:
        """What the ledger says about one batch."""
        (found,) = (entry for entry in self.ledger()["batches"] if entry["id"] == batch_id)
        return dict(found)

    def faults(self, **rates: float) -> None:
        """Change some fault rates; the others stay."""
        self.call("/sandbox/faults", rates)

    def call(self, path: str, content: object = None) -> dict[str, Any]:
        """GET a path of the sandbox's own, or POST to it."""
        data = None if content is None else json.dumps(content).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=10) as answer:  # noqa: S310 - loopback
            answered: dict[str, Any] = json.load(answer)
        return answered

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """End it politely and return what it had written to stderr."""
        self.process.terminate()
        return self.process.communicate(timeout=10)[1]


SandboxStarter = Callable[..., Sandbox]


def start_sandbox(*options: str, latency_s: float = 0.1, seed: int = 7) -> Sandbox:
    """Start a sandbox on a free port; it ends with this process at the latest."""
    command = [sys.executable, "-c", _RUN, "--port", "0", "--json", "--watch-parent"]
    command += ["--latency-s", str(latency_s), "--seed", str(seed), *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd().root
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    ready = json.loads(line)
    return Sandbox(ready["url"], ready["env"], process)


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
