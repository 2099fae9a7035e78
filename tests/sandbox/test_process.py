"""The sandbox as a process: its command, its end, and what it remembers over a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from grabient_ops.cli.sandbox import sandbox
from grabient_ops.errors import InputError
from grabient_ops.sandbox.fault_names import FAULTS

if TYPE_CHECKING:
    from tests.conftest import SandboxStarter
    from tests.sandbox.conftest import Drive, GoogleDriver, OpenAIDriver

RUN = "import typer; from grabient_ops.cli.sandbox import sandbox; typer.run(sandbox)"
COMMAND = [sys.executable, "-c", RUN, "--port", "0"]


def test_the_command_says_where_it_listens_and_how_to_use_it() -> None:
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)

    url = line.removeprefix("sandbox ready on ").strip()
    assert url.startswith("http://127.0.0.1:")
    assert rest == ""
    for name, value in (
        ("OPENAI_BASE_URL", f"{url}/v1"),
        ("ANTHROPIC_BASE_URL", url),
        ("GOOGLE_GEMINI_BASE_URL", url),
        ("GROQ_BASE_URL", url),
    ):
        assert f"export {name}={value}\n" in errors
    assert process.returncode == 0


def test_as_json_one_line_tells_everything(sandbox_starter: SandboxStarter) -> None:
    sandbox = sandbox_starter()

    assert sandbox.env["OPENAI_BASE_URL"] == f"{sandbox.url}/v1"
    assert {name for name in sandbox.env if name.endswith("_KEY")} == {
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GOOGLE_API_KEY",
        "GROQ_API_KEY",
        "CONVEX_DEPLOY_KEY",
    }
    assert sandbox.call("/sandbox/health") == {"status": "ok"}


def run(*options: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(sandbox)
    result = CliRunner().invoke(app, options)
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("options", [("--port", "-1"), ("--port", "65536"), ("--latency-s", "inf")])
def test_a_number_that_means_nothing_is_a_usage_error(options: tuple[str, str]) -> None:
    code, output = run(*options)

    assert code == 2
    assert options[0] in output


@pytest.mark.parametrize("content", ["no database", None])
def test_a_state_that_is_none_is_refused_in_a_sentence(tmp_path: Path, content: str | None) -> None:
    state = tmp_path / "state"
    state.mkdir() if content is None else state.write_text(content)

    with pytest.raises(InputError, match="nothing can be remembered in"):
        sandbox(port=0, state=state)


def test_an_unknown_fault_is_a_usage_error_that_lists_the_known_ones() -> None:
    code, output = run("--fault", "nonsense=1")

    assert code == 2
    assert "accept_then_drop" in output


def test_every_fault_is_in_the_help_and_in_the_documentation() -> None:
    code, output = run("--help")
    page = Path(__file__).parents[2] / "docs" / "sandbox.md"
    documented = page.read_text(encoding="utf-8")

    assert code == 0
    squeezed = output.replace("│", "").replace(" ", "")
    for name, meaning in FAULTS.items():
        assert name in squeezed
        assert f"| `{name}` | {meaning} |" in documented


def test_the_help_imports_no_server() -> None:
    check = (
        "import sys, grabient_ops.cli.sandbox;"
        "print(sorted({'uvicorn', 'starlette', 'numpy', 'sqlite3'} & set(sys.modules)))"
    )

    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_it_ends_when_its_parent_is_killed() -> None:
    script = (
        f"import subprocess, time; p = subprocess.Popen({[*COMMAND, '--watch-parent']!r});"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout
        pid, ready = int(parent.stdout.readline()), parent.stdout.readline()
        parent.kill()

    assert "ready" in ready
    deadline = time.monotonic() + 60
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_killed_sandbox_forgets_nothing(
    sandbox_starter: SandboxStarter, drive: Drive, tmp_path: Path
) -> None:
    state = str(tmp_path / "folder" / "state")
    first = sandbox_starter("--state", state, latency_s=1.0)
    openai: OpenAIDriver = drive("openai", first.url)
    google: GoogleDriver = drive("google", first.url)
    batch_id, file = openai.submit(5), google.file([google.line("k-0")])
    first.faults(accept_then_drop=1)
    with pytest.raises(Exception, match="disconnected"):
        google.create(file)
    first.kill()
    time.sleep(1.1)

    second = sandbox_starter("--state", state, latency_s=1.0)
    openai, google = drive("openai", second.url), drive("google", second.url)

    assert openai.state(batch_id) == "completed"
    assert len(openai.outcomes(batch_id)) == 5
    (lost,) = google.ids(10)
    assert google.finish(lost) == "JOB_STATE_SUCCEEDED"
    ledger = second.ledger()
    assert ledger["requests_billed"] == 6
    assert ledger["calls"]["POST /v1/batches"] == 1


def test_an_upload_goes_on_after_a_restart(
    sandbox_starter: SandboxStarter, drive: Drive, tmp_path: Path
) -> None:
    import httpx2

    state = str(tmp_path / "state")
    first = sandbox_starter("--state", state)
    start = httpx2.post(
        first.url + "/upload/v1/files",
        json={"file": {"name": "files/mine", "mime_type": "jsonl"}},
        headers={
            "x-goog-api-key": "k",
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
        },
    )
    path = start.headers["x-goog-upload-url"].removeprefix(first.url)
    line = json.dumps({"key": "a", "request": {"contents": [{"parts": [{"text": "x"}]}]}}).encode()

    def send(url: str, offset: int, command: str, content: bytes) -> httpx2.Response:
        headers = {"x-goog-upload-command": command, "x-goog-upload-offset": str(offset)}
        return httpx2.post(url + path, content=content, headers=headers)

    send(first.url, 0, "upload", line[:10])
    first.kill()
    second = sandbox_starter("--state", state)
    asked = send(second.url, 0, "query", b"")
    done = send(second.url, 10, "upload, finalize", line[10:])

    assert asked.headers["x-goog-upload-size-received"] == "10"
    assert done.headers["x-goog-upload-status"] == "final"
    google: GoogleDriver = drive("google", second.url)
    assert [outcome.key for outcome in google.outcomes(google.create("files/mine"))] == ["a"]


def test_fifty_thousand_rows_are_made_with_flat_memory(
    sandbox_starter: SandboxStarter, drive: Drive
) -> None:
    sandbox = sandbox_starter()
    openai: OpenAIDriver = drive("openai", sandbox.url)
    lines = json.dumps(openai.line("KEY", max_completion_tokens=800))
    content = "".join(lines.replace("KEY", f"k-{i}") + "\n" for i in range(50_000)).encode()

    batch_id = openai.create(openai.upload(content))
    openai.finish(batch_id)
    found = openai.lines(batch_id)

    assert len(found) == 50_000
    assert sandbox.entry(batch_id)["requests_billed"] == 50_000
    status = Path(f"/proc/{sandbox.process.pid}/status")
    if status.exists():
        peak = next(
            row for row in status.read_text(encoding="utf-8").splitlines() if "VmHWM" in row
        )
        assert int(peak.split()[1]) < 200_000
