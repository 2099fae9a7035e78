"""What holds for every page: it opens, its panels declare what they read, it can be read aloud."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from sqlite3 import SQLITE_OK, SQLITE_READ
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from grabient_ops.web import templating
from grabient_ops.web.app import NO_WORKER
from grabient_ops.web.live.panel import Panel, Wanted
from grabient_ops.web.live.reading import Reading, ReadingRoom
from grabient_ops.web.live.view import Pieces
from grabient_ops.web.pages import NAVIGATION, PAGES

if TYPE_CHECKING:
    from tests.web.conftest import Served

TABLES = {
    "palettes": {"palettes"},
    "prompts": {"prompt_versions", "notes"},
    "targets": {"targets", "passes"},
    "batches": {"batches", "requests", "completions", "stray_results"},
    "nudges": set(),
    "responses": {"palette_tags", "requests", "stray_results"},
    "refinements": {"palette_tag_refined", "requests", "stray_results"},
    "budgets": {"passes", "batches"},
    "journal": set(),
    "warehouse": set(),
    "worker": set(),
}
"""Topic -> tables that change with it; docs/dashboard.md shows the same."""
PATHS = [page.path for page in PAGES]
_ADDRESS = re.compile(r"https?://[^\s\"'<>)]+")
AddressOf = Callable[[str, "Served"], str]
every_page = pytest.mark.parametrize("path", PATHS)


class _Page(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_menu_leads_to_pages() -> None:
    assert {address for address, _ in NAVIGATION} <= set(PATHS)


@every_page
def test_every_page_is_sound(full: "Served", address_of: AddressOf, path: str) -> None:
    html = full.get(address_of(path, full))
    tags = _Page(html).tags
    names = [name for name, _ in tags]
    ids = [str(attributes["id"]) for _, attributes in tags if "id" in attributes]
    # In an attribute, where it may be loaded; texts, such as a setting's description, may name one.
    values = " ".join(str(value) for _, attributes in tags for value in attributes.values())
    hosts = {
        address for address in _ADDRESS.findall(values) if not address.endswith("w3.org/2000/svg")
    }

    assert names.count("h1") == names.count("main") == 1
    assert {a.get("lang") for name, a in tags if name == "html"} == {"en"}
    assert sorted(ids) == sorted(set(ids))
    assert "<script>alert" not in html
    assert not [a for _, a in tags if "style" in a or any(name.startswith("on") for name in a)]
    assert not [a for name, a in tags if name == "script" and not a.get("src")]
    assert hosts == set()


@every_page
def test_every_panel_declares_what_it_reads(
    full_on_sqlite: "Served", address_of: AddressOf, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself says which tables a query touches."""
    full = full_on_sqlite
    room = ReadingRoom(full.web.app, lambda: NO_WORKER)
    read: dict[str, tuple[Panel[Any], set[str]]] = {}
    lanes = list(full.web.hub._lanes.values())
    show = lanes[0]._readers.show

    def watched(wanted: Wanted, _shared: Reading) -> Pieces:
        _, tables = read.setdefault(wanted.panel.id, (wanted.panel, set()))
        with room.open() as own, watching(own, tables):
            return show(wanted, own)

    for lane in lanes:
        monkeypatch.setattr(lane, "_readers", lane._readers._replace(show=watched))
        monkeypatch.setattr(lane, "views", {})
    html = full.get(address_of(path, full))

    assert 'class="failure"' not in html
    for panel, tables in read.values():
        declared = set().union(*(TABLES[topic] for topic in panel.topics))
        assert tables - declared == set(), panel.id


@contextmanager
def watching(reading: Reading, tables: set[str]) -> Iterator[None]:
    """Collect the tables that a connection reads."""
    driver: Any = reading.connection.connection.driver_connection

    def note(action: int, table: str | None, *_: object) -> int:
        if action == SQLITE_READ and table and not table.startswith(("sqlite_", "changes")):
            tables.add(table)
        return SQLITE_OK

    driver.set_authorizer(note)
    try:
        yield
    finally:
        driver.set_authorizer(None)


def test_a_query_beyond_the_topics_would_be_noticed(full_on_sqlite: "Served") -> None:
    tables: set[str] = set()
    with (
        ReadingRoom(full_on_sqlite.web.app, lambda: NO_WORKER).open() as reading,
        watching(reading, tables),
    ):
        assert reading.score.models

    assert {"palettes", "palette_tags", "targets", "notes"} <= tables


def test_no_template_goes_around_escaping_or_the_content_policy() -> None:
    forbidden = re.compile(
        r"\|\s*safe|autoescape|\bstyle=|<style|<script(?![^>]* src=)|\son\w+=|hx-on|javascript:"
    )
    texts = {path: path.read_text() for path in templating.FOLDER.rglob("*.html")}
    found = {path.name: forbidden.findall(text) for path, text in texts.items()}

    assert {name: parts for name, parts in found.items() if parts} == {}
    assert "base.html" in found


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234567, "1,234,567"), (0, "0"), (None, "–"), (1234.5, "1,234.5")],  # noqa: RUF001 - the dash of an empty cell
)
def test_numbers_are_grouped(value: float | None, shown: str) -> None:
    assert templating.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (0.01234, "$0.0123"),
        (12.345, "$12.35"),
        (12345, "$12,345.00"),
    ],
)
def test_small_amounts_keep_their_digits(value: float | None, shown: str) -> None:
    assert templating.usd(value) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 0, "0 %"), (399, 400, "99 %"), (400, 400, "100 %")],
)
def test_a_share_is_whole_only_when_nothing_is_missing(part: int, whole: int, shown: str) -> None:
    assert templating.percent(part, whole) == shown


def test_an_unknown_page_is_a_page(
    full: "Served", get_error: Callable[[str], tuple[int, str]]
) -> None:
    status, html = get_error(f"{full.url}/no-such-page")

    assert status == 404
    assert "<h1>Not Found</h1>" in html
