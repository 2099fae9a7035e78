"""The list of what we are made of is whole, and no secret lies in the tree."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import supply
from benchmarks.supply import Pin, find_shipped, make_sbom, read_all_pins, read_pins, within

_PINS = """\
alpha==1.2 \\
    --hash=sha256:{a}
    # via
    #   -c elsewhere
    #   grabient-ops (pyproject.toml)
beta-b==2.0.1 ; python_version < '3.12' \\
    --hash=sha256:{b} \\
    --hash=sha256:{c}
    # via alpha
gamma==3
    # via grabient-ops (pyproject.toml:dev)
""".format(a="a" * 64, b="b" * 64, c="c" * 64)

# The brackets keep these lines from finding themselves.
_SECRETS = {
    "openai": r"\bsk-(?:proj-)?[A-Za-z0-9_]{3[2]}",
    "anthropic": r"\bsk-ant-(?:api|admin)\d\d-[\w-]{2[0],}",
    "google": r"\bAIza[\w-]{3[5]}",
    "groq": r"\bgsk_[A-Za-z0-9]{4[0],}",
    "github": r"\bgh[pousr]_[A-Za-z0-9]{3[6]}",
    "aws": r"\bAKIA[0-9A-Z]{1[6]}\b",
    "webhook": r"\bwhsec_[A-Za-z0-9+/]{3[2]}",
    "convex": r"\b(?:prod|dev|preview):[a-z]+-[a-z]+-\d+\|[A-Za-z0-9=]{2[0],}",
    "key in PEM": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KE[Y]-----",
}


def _pattern(what: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\d)\[(\d)\]", r"{\1\2", _SECRETS[what]))


def test_a_requirements_file_is_read_with_versions_hashes_and_reasons() -> None:
    pins = read_pins(_PINS)

    assert [(pin.name, pin.version, len(pin.hashes)) for pin in pins] == [
        ("alpha", "1.2", 1),
        ("beta-b", "2.0.1", 2),
        ("gamma", "3", 0),
    ]
    assert find_shipped(pins) == {"alpha", "beta-b"}


def test_the_list_holds_every_pin_of_the_tree_with_its_hashes(root: Path) -> None:
    pins = read_all_pins(root)
    lines = [
        line
        for file in (root / "requirements").glob("*.txt")
        for line in file.read_text().splitlines()
    ]
    pinned = {found[1].lower() for line in lines if (found := re.match(r"([\w.-]+)==", line))}
    components = make_sbom(pins)["components"]

    assert {component["name"] for component in components} == pinned
    assert all(component["properties"] for component in components)
    assert {c["name"] for c in components if c["scope"] == "required"} >= {"dbos", "sqlalchemy"}
    assert {c["name"] for c in components if c["scope"] == "excluded"} >= {"pytest", "ruff"}


def _unreachable(_pins: list[Pin]) -> dict[str, list[str]]:
    raise OSError("no route to host")


def _silent(_pins: list[Pin]) -> dict[str, list[str]]:
    time.sleep(5)
    return {}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (lambda _: {}, 0, "0 of "),
        (lambda _: {"pkg:pypi/alpha@1.2": ["GHSA-1"]}, 1, "pkg:pypi/alpha@1.2: GHSA-1"),
        (_unreachable, 0, "not audited: "),
        (_silent, 0, "not audited: "),
    ],
    ids=["nothing known", "something known", "no network", "no answer"],
)
def test_an_audit_fails_for_what_is_known_and_not_for_want_of_a_network(
    answer: Callable[[list[Pin]], dict[str, list[str]]],
    *,
    code: int,
    said: str,
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pins = read_all_pins(root)
    monkeypatch.setattr(supply, "_ROOT", tmp_path)
    monkeypatch.setattr(supply, "_ASK_S", 0.5)
    monkeypatch.setattr(supply, "read_all_pins", lambda: pins)
    monkeypatch.setattr(supply, "ask_osv", answer)

    assert supply.main() == code
    assert said in capsys.readouterr().out
    assert (tmp_path / "dist" / "sbom.cdx.json").is_file()


def test_work_that_fails_in_time_fails_as_it_did() -> None:
    with pytest.raises(OSError, match="no route"):
        within(5, lambda: _unreachable([]))


@pytest.mark.parametrize("what", _SECRETS)
def test_no_file_holds_a_secret(what: str, root: Path, files: list[Path]) -> None:
    pattern = _pattern(what)

    found = [
        str(path.relative_to(root))
        for path in files
        if pattern.search(path.read_text(errors="replace"))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("openai", "sk-proj-" + "a1" * 16),
        ("anthropic", "sk-ant-" + "api03-" + "a1" * 12),
        ("google", "AIza" + "b" * 35),
        ("groq", "gsk_" + "c" * 48),
        ("github", "ghp_" + "d" * 36),
        ("aws", "AKIA" + "E" * 16),
        ("webhook", "whsec_" + "f" * 32),
        ("convex", "prod:" + "happy-animal-123|" + "g" * 24),
        ("key in PEM", "-----BEGIN RSA " + "PRIVATE KEY-----"),
    ],
)
def test_a_secret_would_be_found(what: str, text: str) -> None:
    assert _pattern(what).search(text)
