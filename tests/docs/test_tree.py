"""What holds for every file of the tree: no hosts, no private paths, rooms as declared."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

# The brackets keep these lines from finding themselves.
_FORBIDDEN = {
    "a package index": re.compile(
        r"pypi\.or[g]|pythonhosted\.or[g]|npmjs\.\w|://[^\s\"'<>]+/simple\b"
    ),
    "an index option": re.compile(r"--(?:extra-)?index-ur[l]|--find-link[s]|--trusted-hos[t]"),
    "a path of one machine": re.compile(r"(?<![\w.~:<>/-])/(?:tmp|work|root)(?![\w-])"),
}


@pytest.mark.parametrize("what", _FORBIDDEN)
def test_no_file_holds(what: str, root: Path, files: list[Path]) -> None:
    pattern = _FORBIDDEN[what]
    found = [
        f"{path.relative_to(root)}: {match.group()}"
        for path in files
        if (match := pattern.search(path.read_text(errors="replace")))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a package index", "https://host:1/root/" + "simple/"),
        ("an index option", "pip install --index" + "-url x"),
        ("a path of one machine", 'open("/' + 'tmp/x")'),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    assert _FORBIDDEN[what].search(text)


def test_requirements_name_no_place(root: Path) -> None:
    texts = {path.name: path.read_text() for path in (root / "requirements").iterdir()}

    assert "dev.txt" in texts
    assert [name for name, text in texts.items() if "://" in text] == []


def test_every_package_says_in_one_sentence_what_it_is(root: Path) -> None:
    packages = sorted((root / "src").rglob("__init__.py"))
    docstrings = {
        path.parent.name: ast.get_docstring(ast.parse(path.read_text())) or "" for path in packages
    }

    assert "grabient_ops" in docstrings
    for package, text in docstrings.items():
        assert re.fullmatch(r"[^\n]+\.", text), package
        assert not re.search(r"[.!?] [A-Z]", text), package


def test_the_declared_layers_are_the_rooms_of_the_tree(root: Path) -> None:
    package = root / "src" / "grabient_ops"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    declared = [room.strip() for layer in _layers(root) for room in layer.split("|")]

    assert sorted(declared) == sorted(modules | folders)


def test_the_rooms_in_the_architecture_are_the_declared_layers(root: Path) -> None:
    page = (root / "docs" / "architecture.md").read_text()
    table = page.partition("## Rooms")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    shown = [cell.replace("`", "").replace(", ", " | ") for cell in first_cells]

    assert shown == _layers(root)


def _layers(root: Path) -> list[str]:
    content = tomllib.loads((root / "pyproject.toml").read_text())
    contracts = content["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [str(layer) for layer in layers]
