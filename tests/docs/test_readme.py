"""What the pages show of the command line is what the command line does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from grabient_ops.cli.main import app

_FENCE = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^\$ |^)grabient-ops (.*)", re.MULTILINE)
_MAKE_IN_FENCE = re.compile(r"^(?:\$ )?make ([a-z]+)", re.MULTILINE)
_MAKE_IN_PROSE = re.compile(r"`make ([a-z]+)")


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
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {target for page in pages for target in _named_targets(page.read_text())}

    assert {"demo", "test"} <= named
    assert named - targets == set()


def _shown_commands(text: str) -> Iterator[str]:
    for block in _FENCE.findall(text):
        for line in _COMMAND.findall(block):
            yield re.split(r"\s#\s|[|;&<>]", line)[0]


def _named_targets(text: str) -> list[str]:
    fenced = [name for block in _FENCE.findall(text) for name in _MAKE_IN_FENCE.findall(block)]
    return fenced + _MAKE_IN_PROSE.findall(text)


def _exists(words: list[str]) -> bool:
    command: Any = typer.main.get_command(app)
    for word in words:
        if word.startswith("--"):
            known = {name for option in command.params for name in option.opts}
            if word.partition("=")[0] not in {*known, "--help"}:
                return False
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return False
            command = command.commands[word]
    return True
