"""Prompt versions on the dashboard, over HTTP, against a real store."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from grabient_ops.pipeline.prompting import builtin_prompt, current_prompt
from grabient_ops.store.prompts import get_prompt
from grabient_ops.tagging.kinds import Kind
from grabient_ops.tagging.prompts import prompt_version
from tests.web.conftest import HOSTILE, SEEDS

if TYPE_CHECKING:
    from grabient_ops.app import App
    from tests.web.conftest import Answered, Served, Shelf

_KEY = re.compile(r'name="once" value="([^"]+)"')
GetError = Callable[..., tuple[int, str]]


def _register(served: "Served", content: str, *fields: tuple[str, str]) -> "Answered":
    [key] = _KEY.findall(served.get("/prompts"))
    given = {"message": "shorter", "kind": "tagging", **dict(fields)}
    return served.post("/prompts", ("once", key), ("content", content), *given.items())


def _current(app: "App", kind: Kind = "tagging") -> str:
    with app.store.read() as connection:
        return current_prompt(connection, kind)


def test_the_built_in_prompts_are_there_before_anything_was_asked(served: "Served") -> None:
    html = served.get("/prompts")

    assert all(builtin_prompt(kind).version in html for kind in ("tagging", "refinement"))
    assert html.count("in use</span>") == 2
    assert "not used yet" in html


def test_versions_are_listed_with_their_answers(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    row = re.search(rf"{shelf.version}</code>.*?</tr>", served.get("/prompts"), re.DOTALL)

    assert row is not None
    assert '<td data-label="Answers" class="num">2</td>' in row[0]


def test_a_prompt_is_registered_as_it_was_typed(served: "Served", app: "App") -> None:
    text = f"Name the colours.\n\n{HOSTILE}\n"
    answer = _register(served, text.replace("\n", "\r\n"), ("use", "1"))
    version = prompt_version(text)
    with app.store.read() as connection:
        stored = get_prompt(connection, version)
    html = served.get(f"/prompts/{version}")

    assert answer.headers["location"] == f"/prompts/{version}"
    assert answer.notice == f"{version} is registered; new passes use it."
    assert stored is not None
    assert stored.content == text
    assert _current(app) == version
    assert "<script>alert" not in html
    assert "in use" in html


def test_a_prompt_may_be_kept_without_being_used(served: "Served", app: "App") -> None:
    before = _current(app, "refinement")
    _register(served, "Sum up.", ("kind", "refinement"))

    assert _current(app, "refinement") == before
    assert "Sum up." in served.get(f"/prompts/{prompt_version('Sum up.')}")


@pytest.mark.parametrize(
    ("content", "fields", "problem"),
    [
        ("  \n ", [], "the prompt is empty"),
        ("x", [("message", "   ")], "say in one line"),
        ("x", [("message", "y" * 201)], "at most"),
        ("x" * 200_001, [], "at most"),
        ("a\0b", [], "NUL"),
    ],
)
def test_a_prompt_that_cannot_be_kept_says_why(
    full: "Served", content: str, fields: list[tuple[str, str]], problem: str
) -> None:
    answer = _register(full, content, *fields)

    assert answer.status == 400
    assert problem in answer.html


def test_a_registered_prompt_is_chosen_and_the_built_in_one_again(
    served: "Served", app: "App"
) -> None:
    _register(served, "Name the colours.")
    version, builtin = prompt_version("Name the colours."), builtin_prompt("tagging").version
    chosen = served.post(f"/prompts/{version}/use")
    first = _current(app)
    back = served.post(f"/prompts/{builtin}/use")

    assert chosen.notice == f"New passes use {version}."
    assert first == version
    assert back.notice == f"New passes use {builtin}."
    assert _current(app) == builtin


def test_an_open_page_sees_that_another_prompt_is_chosen(served: "Served") -> None:
    _register(served, "Name the colours.")
    version = prompt_version("Name the colours.")
    served.get("/prompts")
    with served.follow("/prompts/live") as viewer:
        viewer.next()
        served.post(f"/prompts/{version}/use")
        html = viewer.next().html

    assert re.search(rf"{version}</code></a> <span[^>]*>in use", html)


def test_the_difference_of_two_versions_is_shown_word_by_word(served: "Served") -> None:
    old, new = "One.\nName the colours.\nThree.", "One.\nName all colours.\nThree."
    _register(served, old)
    _register(served, new)
    html = served.get(f"/prompts/{prompt_version(new)}?against={prompt_version(old)}")

    assert "Name <del>the</del> colours." in html
    assert "Name <ins>all</ins> colours." in html


def test_the_effect_on_tags_is_counted(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    _register(served, "Name the colours.")
    other = prompt_version("Name the colours.")
    shelf.answer("of the other", *SEEDS, prompt_version=other, tags={"mood": ["bold"]})
    address = f"/prompts/{other}?against={shelf.version}"
    html = ""
    while "Effect on tags" not in html:
        html = served.get(address)

    assert re.search(r"bold</bdi></td>.*?0\.0 %.*?100\.0 %.*?\+100", html, re.DOTALL)


def test_a_version_without_answers_has_no_effect_to_show(served: "Served", shelf: "Shelf") -> None:
    shelf.fill()
    _register(served, "Name the colours.")
    address = f"/prompts/{prompt_version('Name the colours.')}?against={shelf.version}"
    html = ""
    while "Effect on tags" not in html:
        html = served.get(address)

    assert "No answer has a prompt version" in html


def test_a_version_is_found_by_its_beginning(served: "Served") -> None:
    version = builtin_prompt("tagging").version

    assert version in served.get(f"/prompts/{version[:6]}")
    assert served.get(f"/prompts/{version}/text") == builtin_prompt("tagging").content


@pytest.mark.parametrize(
    "path",
    ["/prompts/ffffffffffff", "/prompts/ffffffffffff/text", "/prompts/338e3cb86536?against=ff"],
)
def test_an_unknown_version_is_not_found(full: "Served", get_error: GetError, path: str) -> None:
    assert get_error(full.url + path)[0] == 404
