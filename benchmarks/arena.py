"""A sandbox and a home for one experiment, driven from outside as an operator would."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.postgres import database_env, store_url

COMMAND = [sys.executable, "-m", "grabient_ops"]


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
        with urllib.request.urlopen(self.url + path, data, timeout=60) as answer:  # noqa: S310 - loopback
            answered: dict[str, Any] = json.load(answer)
        return answered

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """End it politely and return what it had written to stderr."""
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


def start_sandbox(*options: str, latency_s: float = 0.1, seed: int = 7) -> Sandbox:
    """Start a sandbox on a free port; it ends with this process at the latest."""
    command = [*COMMAND, "sandbox", "--port", "0", "--json", "--watch-parent"]
    command += ["--latency-s", str(latency_s), "--seed", str(seed), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(process.communicate()[1])
    ready = json.loads(line)
    return Sandbox(ready["url"], ready["env"], process)


@dataclass
class Home:
    """One operator's home, pointed at a sandbox.

    Attributes:
        path: its folder.
        env: further variables, over the process's own.
    """

    path: Path
    env: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a command."""
        fast = {
            "GRABIENT_OPS_HOME": str(self.path),
            "GRABIENT_OPS_POLL_SECONDS": "0.1",
            "GRABIENT_OPS_RETRY_SECONDS": "0.2",
            "GRABIENT_OPS_LOG_LEVEL": "ERROR",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return {**os.environ, **fast, **database_env(self.path), **self.env}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [*COMMAND, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, timeout_s: float = 120, fails: bool = False) -> str:
        """Run a command to its end and return what it printed; raise when it fails.

        Args:
            words: the command line.
            timeout_s: after this the command is killed and the call raises.
            fails: a failure is expected: return stderr instead of raising.
        """
        done = subprocess.run(
            [*COMMAND, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if bool(done.returncode) != fails:
            raise RuntimeError(f"{' '.join(words)} exited {done.returncode}: {done.stderr}")
        return done.stderr if fails else done.stdout

    def json(self, *words: str, timeout_s: float = 120) -> Any:
        """Run a command with `--json` and return its document."""
        return json.loads(self.run(*words, "--json", timeout_s=timeout_s))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the store behind the program's back."""
        engine = sa.create_engine(store_url(self.path), poolclass=sa.NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def add_palettes(self, count: int) -> None:
        """Import palettes made out of thin air."""
        from grabient_ops.palettes.invented import invented_seeds

        file = self.path / "seeds.txt"
        self.path.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(invented_seeds(count)))
        self.run("palettes", "import", str(file))


def kill_hard(process: subprocess.Popen[str]) -> None:
    """`kill -9` a process and everything it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
