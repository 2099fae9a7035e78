"""What the pages show of the command line is what the command line does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import typer

from grabient_ops.cli.main import app

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = {"sh", "console", ""}
_COMMAND = re.compile(r"(?:^\$ |^)grabient-ops (.*)", re.MULTILINE)
_MAKE_IN_FENCE = re.compile(r"^(?:\$ )?make ([a-z-]+)", re.MULTILINE)
_MAKE_IN_PROSE = re.compile(r"`make ([a-z-]+)")


def test_the_help_in_the_readme_is_what_help_prints(root: Path) -> None:
    command = [sys.executable, "-m", "grabient_ops", "--help"]
    environment = {**os.environ, "COLUMNS": "80"}
    printed = subprocess.run(
        command, env=environment, capture_output=True, check=True, text=True
    ).stdout.replace("python -m grabient_ops", "grabient-ops")

    readme = (root / "README.md").read_text()
    shown = readme.partition("$ grabient-ops --help\n")[2].partition("```")[0]

    assert shown.strip() == printed.strip()


def test_every_command_that_a_page_shows_exists_with_its_options(pages: list[Path]) -> None:
    shown = [(page.name, line) for page in pages for line in _shown_commands(page.read_text())]
    unknown = [(page, line) for page, line in shown if not _exists(line.split())]

    assert len(shown) >= 6
    assert unknown == []


def test_every_make_target_that_a_page_names_exists(root: Path, pages: list[Path]) -> None:
    makefile = (root / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {target for page in pages for target in _named_targets(page.read_text())}

    assert {"demo", "test"} <= named
    assert named - targets == set()


def _shell_blocks(text: str) -> list[str]:
    return [block for language, block in _FENCE.findall(text) if language in _SHELL]


def _shown_commands(text: str) -> Iterator[str]:
    for block in _shell_blocks(text):
        for line in _COMMAND.findall(block):
            yield re.split(r"\s#\s|[|;&<>]", line)[0]


def _named_targets(text: str) -> list[str]:
    fenced = [name for block in _shell_blocks(text) for name in _MAKE_IN_FENCE.findall(block)]
    return fenced + _MAKE_IN_PROSE.findall(text)


def _exists(words: list[str]) -> bool:
    command: Any = typer.main.get_command(app)
    for name in takewhile(lambda word: not word.startswith("-"), words):
        commands = getattr(command, "commands", None)
        if commands is None:
            break
        if name not in commands:
            return False
        command = commands[name]
    # Options right after a group mean its `list`: `errors --class refused`.
    takers = [command, getattr(command, "commands", {}).get("list", command)]
    known = {name for taker in takers for option in taker.params for name in option.opts}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    return used <= known | {"--help"}
