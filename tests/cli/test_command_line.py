"""What holds for every command."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from grabient_ops.cli.main import app

if TYPE_CHECKING:
    from tests.cli.conftest import Ops

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text() + "\n##"
HEAVY = {
    "openai", "anthropic", "google.genai", "groq", "duckdb", "dbos", "sqlalchemy", "numpy",
    "rich", "alembic", "orjson", "msgspec", "starlette", "uvicorn",
}  # fmt: skip


def commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path.strip(), command
        return
    for name, child in inner.items():
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(typer.main.get_command(app)))
_SECTION = r"^### `([a-z0-9 -]*[a-z0-9])[^`]*`\n(.*?)(?=^##)"
SECTIONS = dict(re.findall(_SECTION, DOCUMENT, re.MULTILINE | re.DOTALL))
every_command = pytest.mark.parametrize("name", COMMANDS)


@every_command
def test_every_command_says_what_it_does(ops: "Ops", name: str) -> None:
    ran = ops(*name.split(), "--help")

    assert ran.code == 0
    assert COMMANDS[name].help.strip()


def test_exactly_the_commands_that_exist_are_documented() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@every_command
def test_every_option_is_documented(name: str) -> None:
    options = {
        option
        for parameter in COMMANDS[name].params
        for option in parameter.opts
        if option.startswith("--") and option not in {"--json", "--help"}
    }

    assert sorted(option for option in options if f"`{option}" not in SECTIONS[name]) == []


@every_command
def test_every_command_has_json(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}

    assert "--json" in options


@pytest.mark.parametrize("words", [["--help"], ["palettes", "--help"], ["--version"]])
def test_help_in_a_clean_interpreter_loads_no_heavy_module(words: list[str]) -> None:
    program = (
        "import sys\n"
        "from grabient_ops.cli.main import main\n"
        "try: main()\n"
        "finally: print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )

    assert ran.stdout
    assert HEAVY.isdisjoint(ran.stderr.splitlines())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_standard_stream_ends_no_command(tmp_path: Path, closed: str) -> None:
    program = f'exec "$0" -m grabient_ops status --json {closed}'
    environment = {**os.environ, "GRABIENT_OPS_HOME": str(tmp_path)}

    ran = subprocess.run(
        ["/bin/sh", "-c", program, sys.executable], check=True, capture_output=True, env=environment
    )

    assert ran.stderr == b""
    assert bool(ran.stdout) is (closed != ">&-")


@pytest.mark.parametrize(
    "words", [["nonsense"], ["palettes", "nonsense"], ["status", "--nonsense"]]
)
def test_unknown_words_are_wrong_usage(ops: "Ops", words: list[str]) -> None:
    ran = ops(*words)

    assert (ran.code, ran.out) == (2, "")


_NUMBERS = [
    (name, option.opts[0])
    for name, command in COMMANDS.items()
    for option in command.params
    if option.type_descriptor.annotation in (int, list[int]) and option.name != "seed"
]


@pytest.mark.parametrize(("name", "option"), [*_NUMBERS, ("analytics sql", "--timeout-s")])
@pytest.mark.parametrize("number", ["-1", "99999999999999999999"])
def test_a_number_that_is_out_of_range_is_wrong_usage(
    ops: "Ops", name: str, option: str, number: str
) -> None:
    ran = ops(*name.split(), option, number)

    assert (ran.code, ran.out) == (2, "")
    assert option in ran.err


@pytest.mark.parametrize(
    "words",
    [["status"], ["palettes", "list"], ["errors"], ["batches", "list"], ["prompts", "list"]],
)
def test_a_home_that_cannot_be_made_is_one_line(
    ops: "Ops", words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRABIENT_OPS_HOME", "/proc/nowhere")

    ran = ops(*words, "--json")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: GRABIENT_OPS_HOME")
    assert ran.err.count("\n") == 1
