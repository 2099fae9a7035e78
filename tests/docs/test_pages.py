"""Links lead somewhere, decisions have their form, the table of settings is the class."""

import re
from pathlib import Path

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from grabient_ops.settings import Settings

_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_PARTS = ["Question", "Choice", "Rejected", "What would change our mind"]
_PAGE_CHARACTERS = 3500


def test_every_relative_link_leads_to_a_file_and_a_heading(root: Path, pages: list[Path]) -> None:
    dead = [
        f"{page.relative_to(root)}: {link}"
        for page in pages
        for link in _LINK.findall(_CODE.sub("", page.read_text()))
        if "://" not in link and not _leads_somewhere(page, link)
    ]

    assert dead == []


def test_every_page_can_be_reached_from_the_index(root: Path) -> None:
    docs = root / "docs"
    listed = set(_LINK.findall((docs / "index.md").read_text()))
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}

    assert there - {"index.md"} - listed == set()


def test_every_decision_has_its_four_parts_on_one_page(root: Path) -> None:
    decisions = sorted((root / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]

    assert numbers == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text()
        assert _HEADING.findall(text)[1:] == _PARTS, path.name
        rejected = text.partition("## Rejected")[2].partition("## ")[0]
        assert len(re.findall(r"^- \*\*", rejected, re.MULTILINE)) >= 2, path.name
        assert len(text) <= _PAGE_CHARACTERS, path.name


def test_every_setting_stands_in_the_table_with_its_default_and_meaning(root: Path) -> None:
    lines = (root / "docs" / "settings.md").read_text().split("\n## ")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    shown = {variables: (default, meaning) for variables, default, meaning in rows}
    fields = {_variables(name, field): field for name, field in Settings.model_fields.items()}

    assert list(shown) == list(fields)
    for variables, field in fields.items():
        default, meaning = shown[variables]
        assert (variables, default) == (variables, _default(field))
        assert meaning == (field.description or meaning)
        assert meaning.endswith(".")


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    if not anchor:
        return target.exists()
    return target.is_file() and anchor in map(_slug, _HEADING.findall(target.read_text()))


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _variables(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return ", ".join(f"`{choice}`" for choice in alias.choices)
    return f"`{alias or f'GRABIENT_OPS_{name.upper()}'}`"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None:
            return "–"  # noqa: RUF001 - the dash of a cell without value
        case Path():
            return f"`~/{value.relative_to(Path.home())}`"
        case bool():
            return f"`{str(value).lower()}`"
        case float() | int():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"
