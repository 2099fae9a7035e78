"""The examples in `deploy/` name only what exists: commands, settings, figures, states, alerts."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import AliasChoices

from grabient_ops.cli.main import app
from grabient_ops.settings import Settings
from grabient_ops.store.batches import StoredState
from grabient_ops.web.metrics import figures, timing

_PROGRAM = "/opt/grabient-ops/bin/grabient-ops"
_SECTIONS = {
    "Unit": {"Description", "After", "Wants", "StartLimitIntervalSec"},
    "Service": {
        "Type", "User", "EnvironmentFile", "ExecStart", "ExecStartPost", "TimeoutStopSec",
        "Restart", "RestartSec", "StateDirectory", "StateDirectoryMode", "ReadWritePaths", "UMask",
        "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices",
    },
    "Timer": {"OnCalendar", "RandomizedDelaySec", "Persistent"},
    "Install": {"WantedBy"},
}  # fmt: skip
_HARDENED = {"User", "UMask", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp"}


@pytest.fixture(scope="module")
def deploy(root: Path) -> Path:
    return root / "deploy"


@pytest.fixture(scope="module")
def units(deploy: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Name of each unit -> (section, directive, value) of its lines."""
    return {path.name: _read_unit(path) for path in sorted((deploy / "systemd").iterdir())}


def test_every_unit_holds_only_directives_that_we_know(
    units: dict[str, list[tuple[str, str, str]]],
) -> None:
    unknown = [
        (name, section, directive)
        for name, lines in units.items()
        for section, directive, _ in lines
        if directive not in _SECTIONS.get(section, set())
    ]

    assert len(units) == 5
    assert unknown == []


def test_every_service_is_kept_in_its_room(units: dict[str, list[tuple[str, str, str]]]) -> None:
    services = {name: lines for name, lines in units.items() if name.endswith(".service")}

    for name, lines in services.items():
        assert {directive for _, directive, _ in lines} >= _HARDENED, name


def test_every_command_of_a_unit_exists_with_its_options(
    units: dict[str, list[tuple[str, str, str]]],
) -> None:
    started = [
        words
        for lines in units.values()
        for _, directive, value in lines
        if directive == "ExecStart"
        for words in [_our_words(value)]
    ]

    assert len(started) == 4
    for words in started:
        _parse(words)


def test_a_command_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(Exception, match="No such"):
        _parse(["serve", "--no-such-option"])
    with pytest.raises(KeyError):
        _parse(["no-such-command"])


def test_systemd_finds_nothing_wrong_where_it_is_there(deploy: Path, tmp_path: Path) -> None:
    """Beside our own list of directives, for whoever has it."""
    program = shutil.which("systemd-analyze")
    for path in (deploy / "systemd").iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace(_PROGRAM, "/bin/sh"))
    units = sorted(map(str, tmp_path.iterdir()))

    said = (
        subprocess.run([program, "verify", *units], capture_output=True, text=True, check=False)
        if program
        else None
    )

    assert said is None or (said.returncode, _about(said.stderr, tmp_path)) == (0, [])


def test_every_variable_of_the_example_is_a_setting(deploy: Path) -> None:
    text = (deploy / "grabient-ops.env").read_text()
    named = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)

    assert len(named) >= 8
    assert set(named) - _variables() == set()


def test_the_values_of_the_example_are_taken(deploy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (deploy / "grabient-ops.env").read_text()
    for name, value in re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE):
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert settings.home == Path("/var/lib/grabient-ops")
    assert settings.is_postgres


def test_every_alert_asks_for_figures_and_states_that_exist(deploy: Path) -> None:
    text = (deploy / "prometheus-alerts.yml").read_text()
    families = set(re.findall(r"Family\(\s*\"(\w+)\"", _source(figures) + _source(timing)))
    asked = set(re.findall(r"\bgrabient_ops_(\w+)", text))
    states = {
        state for group in re.findall(r'state=~?"([^"]+)"', text) for state in group.split("|")
    }

    assert {"batches", "changes"} <= asked
    assert asked - families == set()
    assert states - set(get_args(StoredState)) == set()


def test_every_alert_is_explained(root: Path, deploy: Path) -> None:
    there = re.findall(r"- alert: (\w+)", (deploy / "prometheus-alerts.yml").read_text())
    page = (root / "docs" / "operations.md").read_text()

    assert re.findall(r"^\| `(Grabient\w+)` \|", page, re.MULTILINE) == there


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_a_proxy_passes_events_on_at_once_and_says_who_asks(deploy: Path, name: str) -> None:
    text = (deploy / name).read_text()

    assert text.count("{") == text.count("}")
    assert "127.0.0.1:4100" in text
    assert re.search(r"flush_interval -1|proxy_buffering off", text)
    assert "X-Forwarded-For" in text


def _read_unit(path: Path) -> list[tuple[str, str, str]]:
    section = ""
    lines: list[tuple[str, str, str]] = []
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            directive, _, value = line.partition("=")
            lines.append((section, directive, value))
    return lines


def _our_words(value: str) -> list[str]:
    """The words after our program, in a line for systemd or within its line for the shell."""
    _, _, after = value.partition(f"{_PROGRAM} ")
    return shlex.split(re.sub(r"\$\(.*\)", "now", after).rstrip("'"))


def _parse(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words[0]]
        words = words[1:]
    command.make_context("grabient-ops", words)


def _about(said: str, folder: Path) -> list[str]:
    return [line for line in said.splitlines() if str(folder) in line or "grabient" in line]


def _variables() -> set[str]:
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        names.update(str(choice or f"GRABIENT_OPS_{name.upper()}") for choice in choices)
    return names


def _source(module: object) -> str:
    return Path(str(getattr(module, "__file__", ""))).read_text()
