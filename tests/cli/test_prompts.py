import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grabient_ops.tagging.prompts import refinement_prompt, tagging_prompt

if TYPE_CHECKING:
    from tests.cli.conftest import Ops

BUILTIN = tagging_prompt()
TEXT = "Answer in JSON.\r\nSay 凉 when it is cool."
VERSION = hashlib.sha256(TEXT.encode()).hexdigest()[:12]


@pytest.fixture
def prompt_file(tmp_path: Path) -> str:
    path = tmp_path / "prompt.md"
    path.write_bytes(TEXT.encode())
    return str(path)


def test_the_builtin_prompt_is_listed_and_in_use(ops: "Ops") -> None:
    rows = {row["kind"]: row for row in ops("prompts", "list", "--json").json()}

    for builtin in (BUILTIN, refinement_prompt()):
        row = rows[builtin.kind]
        assert (row["version"], row["current"], row["answers"]) == (builtin.version, True, 0)
    assert set(rows) == {"tagging", "refinement"}


def test_a_registered_prompt_is_used_by_new_passes(ops: "Ops", prompt_file: str) -> None:
    ran = ops("prompts", "register", prompt_file, "-m", "shorter", "--json")

    assert ran.json() == {"version": VERSION, "new": True, "current": True}
    assert ops("status", "--json").json()["prompt_version"] == VERSION
    rows = {row["version"]: row for row in ops("prompts", "list", "--json").json()}
    assert rows[VERSION]["message"] == "shorter"
    current = {row["kind"]: row["version"] for row in rows.values() if row["current"]}
    assert current == {"tagging": VERSION, "refinement": refinement_prompt().version}


def test_each_stage_has_its_own_prompt_in_use(ops: "Ops", prompt_file: str) -> None:
    ops("prompts", "register", prompt_file, "-m", "mine", "--kind", "refinement")

    rows = {row["version"]: row for row in ops("prompts", "list", "--json").json()}
    assert rows[VERSION]["kind"] == "refinement"
    assert rows[VERSION]["current"]
    assert rows[BUILTIN.version]["current"]
    again = ops("prompts", "register", prompt_file, "-m", "mine")
    assert "is registered as a refinement prompt" in again.err
    back = ops("prompts", "use", "builtin", "--kind", "refinement", "--json")
    assert back.json()["version"] == refinement_prompt().version


def test_registering_again_is_harmless_and_can_leave_the_choice_alone(
    ops: "Ops", prompt_file: str
) -> None:
    ops("prompts", "register", prompt_file, "-m", "one", "--no-use")

    ran = ops("prompts", "register", prompt_file, "-m", "two", "--no-use", "--json")

    assert ran.json() == {"version": VERSION, "new": False, "current": False}
    assert ops("status", "--json").json()["prompt_version"] == BUILTIN.version


def test_show_gives_back_the_text_byte_for_byte(ops: "Ops", prompt_file: str) -> None:
    ops("prompts", "register", prompt_file, "-m", "m")

    assert ops("prompts", "show", VERSION[:6]).out == TEXT
    assert ops("prompts", "show", "--json").json()["content"] == TEXT
    assert ops("prompts", "show", BUILTIN.version).out == BUILTIN.content


def test_a_prompt_can_come_from_stdin(ops: "Ops") -> None:
    ran = ops("prompts", "register", "-", "-m", "m", "--json", stdin=TEXT.encode())

    assert ran.json()["version"] == VERSION


def test_diff_is_unified(ops: "Ops", prompt_file: str) -> None:
    ops("prompts", "register", prompt_file, "-m", "m")

    lines = ops("prompts", "diff", BUILTIN.version, VERSION).out.splitlines()
    document = ops("prompts", "diff", BUILTIN.version, VERSION, "--json").json()

    assert lines[:2] == [f"--- {BUILTIN.version}", f"+++ {VERSION}"]
    assert "+Answer in JSON." in lines
    assert document == {"from": BUILTIN.version, "to": VERSION, "diff": "\n".join(lines)}


def test_use_goes_back_to_the_builtin_prompt(ops: "Ops", prompt_file: str) -> None:
    ops("prompts", "register", prompt_file, "-m", "m")

    assert ops("prompts", "use", "builtin", "--json").json()["version"] == BUILTIN.version
    assert ops("status", "--json").json()["prompt_version"] == BUILTIN.version
    assert ops("prompts", "use", VERSION[:5], "--json").json()["version"] == VERSION


@pytest.mark.parametrize(
    ("content", "what"),
    [(b" \n", "the prompt is empty"), (b"\xff\xfe", "UTF-8"), (b"a\0b", "NUL"), (None, "No such")],
)
def test_what_is_no_prompt_is_refused_in_one_line(
    ops: "Ops", tmp_path: Path, content: bytes | None, what: str
) -> None:
    path = tmp_path / "prompt.md"
    if content is not None:
        path.write_bytes(content)

    ran = ops("prompts", "register", str(path), "-m", "m")

    assert ran.code == 1
    assert what in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("words", [["show", "zz"], ["use", "zz"], ["diff", "zz", "zz"]])
def test_an_unknown_version_is_refused(ops: "Ops", words: list[str]) -> None:
    ran = ops("prompts", *words)

    assert ran.code == 1
    assert "no prompt version begins with 'zz'" in ran.err


def test_register_wants_a_message(ops: "Ops", prompt_file: str) -> None:
    assert ops("prompts", "register", prompt_file).code == 2
