"""What an operator does to a pass while it runs, by the command line and against the sandbox."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.arena import Home, Sandbox, kill_hard, start_sandbox
from benchmarks.postgres import SERVER_VARIABLE

GROQ = "groq/openai/gpt-oss-20b"
OPENAI = "openai/gpt-4o-mini"
GOOGLE = "google/gemini-2.5-flash-lite"
TAG_GROQ = ("tag", "--model", GROQ)


@pytest.fixture
def started() -> Iterator[Callable[[float], Sandbox]]:
    """Starts sandboxes with a latency; they end with the test."""
    sandboxes: list[Sandbox] = []

    def start(latency_s: float) -> Sandbox:
        sandboxes.append(start_sandbox(latency_s=latency_s))
        return sandboxes[-1]

    yield start
    for sandbox in sandboxes:
        sandbox.stop()


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that must not outlive the test."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        if process.poll() is None:
            kill_hard(process)


def _home(tmp_path: Path, sandbox: Sandbox, palettes: int, **env: str) -> Home:
    home = Home(tmp_path / "home", {**sandbox.env, **env})
    home.add_palettes(palettes)
    return home


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _waiting(home: Home) -> bool:
    return home.rows("SELECT 1 FROM batches WHERE state = 'waiting'") != []


def _answers(home: Home) -> int:
    [(count,)] = home.rows("SELECT count(*) FROM palette_tags WHERE response IS NOT NULL")
    return int(count)


def test_a_cancel_keeps_what_was_finished_and_nothing_is_asked_again(
    started: Callable[[float], Sandbox], tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    sandbox = started(40.0)
    home = _home(tmp_path, sandbox, 10)
    worker = home.start(*TAG_GROQ, "--wait")
    processes.append(worker)
    _until(lambda: _waiting(home))
    _until(lambda: home.rows("SELECT 1 FROM batches WHERE live_completed > 0"))
    [(batch_id, workflow_id)] = home.rows("SELECT id, workflow_id FROM batches")
    home.run("workflows", "cancel", workflow_id)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors

    [run] = home.json("status")["runs"]
    assert run["expected"] == run["succeeded"] + run["failed"] == 10
    assert 0 < _answers(home) < 10
    assert sandbox.ledger()["requests_billed"] == _answers(home)

    # Neither another pass nor another collection asks, buys or stores anything.
    before = home.rows("SELECT * FROM palette_tags ORDER BY id")
    home.run("workflows", "restart", batch_id, "--from", "collect")
    home.run(*TAG_GROQ, "--wait")
    assert home.rows("SELECT * FROM palette_tags ORDER BY id") == before
    assert len(sandbox.ledger()["batches"]) == 1
    assert home.rows("SELECT state FROM batches") == [("canceled",)]


def test_one_worker_at_a_time_reaches_the_target_without_further_commands(
    started: Callable[[float], Sandbox],
    tmp_path: Path,
    processes: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # That only one may work is a rule for homes on SQLite.
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    sandbox = started(0.2)
    home = _home(tmp_path, sandbox, 3)
    worker = home.start("worker", "--json")
    processes.append(worker)
    _until((home.path / "worker.lock").exists)

    refused = home.run("worker", fails=True).splitlines()[-1]
    assert refused == f"error: a worker (process {worker.pid}) holds {home.path}"
    home.run(*TAG_GROQ, "--runs", "2")
    _until(lambda: home.json("status")["runs"][-1]["pending"] == 0)
    _until(lambda: not home.rows("SELECT 1 FROM batches WHERE ended_at IS NULL"))

    worker.send_signal(signal.SIGTERM)
    told, errors = worker.communicate(timeout=60)
    assert json.loads(told) == {"home": str(home.path), "pid": worker.pid}
    assert worker.returncode == 0
    assert errors.splitlines()[-1].startswith("stopped; 0 batches go on")


def test_interrupted_it_exits_130_and_the_next_start_goes_on(
    started: Callable[[float], Sandbox], tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    sandbox = started(2.0)
    home = _home(tmp_path, sandbox, 4)
    worker = home.start(*TAG_GROQ, "--wait")
    processes.append(worker)
    _until(lambda: _waiting(home))
    worker.send_signal(signal.SIGINT)
    _, errors = worker.communicate(timeout=60)

    assert worker.returncode == 130
    assert "stopped; 1 batches go on at the providers, the next start collects them" in errors
    assert _answers(home) == 0

    home.run(*TAG_GROQ, "--wait")
    assert _answers(home) == sandbox.ledger()["requests_billed"]
    assert len(sandbox.ledger()["batches"]) == len(home.rows("SELECT id FROM batches"))
    assert home.json("status")["runs"][0]["pending"] == 0


def test_providers_that_cannot_work_are_named_and_do_not_hold_up_the_others(
    started: Callable[[float], Sandbox], tmp_path: Path
) -> None:
    sandbox = started(0.1)
    broken = {"GROQ_API_KEY": "invalid-key", "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9"}
    home = _home(tmp_path, sandbox, 2, **broken)
    words = (*TAG_GROQ, "--model", OPENAI, "--model", GOOGLE, "--runs", "2", "--wait")
    errors = home.run(*words, fails=True)

    assert home.rows("SELECT provider, count(*) FROM palette_tags GROUP BY 1") == [("openai", 4)]
    google, groq, last = errors.splitlines()[-3:]
    assert google.startswith("google/gemini-2.5-flash-lite waits: google: ConnectError")
    assert groq == "groq/openai/gpt-oss-20b waits: groq: Incorrect API key provided."
    assert last == "error: 2 models could not go on; mend that and start again"
    assert "invalid-key" not in errors

    # Mended, only what is missing is asked.
    mended = Home(home.path, sandbox.env)
    mended.run(*words)
    assert [run["pending"] for run in mended.json("status")["runs"]] == [0, 0]
    assert sandbox.ledger()["requests_billed"] == _answers(mended)


@pytest.mark.timeout(240)
def test_who_follows_a_worker_is_told_which_models_could_not_go_on(
    started: Callable[[float], Sandbox], tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    sandbox = started(0.1)
    env = {name: value for name, value in sandbox.env.items() if name != "GROQ_API_KEY"}
    home = Home(tmp_path / "home", env)
    home.add_palettes(2)
    processes.append(home.start("worker"))
    home.run("tag", "--model", OPENAI)
    # Now it is certainly the worker that leads.
    _until(lambda: _answers(home) == 2)
    errors = home.run(*TAG_GROQ, "--model", OPENAI, "--wait", timeout_s=60, fails=True)

    assert errors.splitlines()[-2:] == [
        "groq/openai/gpt-oss-20b waits: GROQ_API_KEY is not set",
        "error: 1 models could not go on; mend that and start again",
    ]
    assert processes[0].poll() is None
    assert _answers(home) == sandbox.ledger()["requests_billed"] == 2


def test_more_runs_and_more_palettes_ask_only_for_what_is_new(
    started: Callable[[float], Sandbox], tmp_path: Path
) -> None:
    sandbox = started(0.1)
    home = _home(tmp_path, sandbox, 2)

    def asked() -> list[tuple[object, ...]]:
        return home.rows(
            "SELECT run_number, count(*) FROM requests WHERE attempt = 1 GROUP BY 1 ORDER BY 1"
        )

    home.run(*TAG_GROQ, "--wait")
    assert asked() == [(1, 2)]
    home.run(*TAG_GROQ, "--runs", "2", "--wait")
    assert asked() == [(1, 2), (2, 2)]
    home.add_palettes(5)
    home.run(*TAG_GROQ, "--wait")
    assert asked() == [(1, 5), (2, 2)]
    assert sandbox.ledger()["requests_billed"] == _answers(home)
