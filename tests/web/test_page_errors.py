"""Failures on the dashboard, over HTTP, against a real store."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from grabient_ops.store.failures import list_errors
from tests.web.conftest import HOSTILE

if TYPE_CHECKING:
    from grabient_ops.app import App
    from tests.web.conftest import Served, Shelf

_SHOWN = re.compile(r'<li id="error-(\d+)">')
_KEY = re.compile(r'name="once" value="([^"]+)"')
_LINK = re.compile(r'rel="(prev|next)" href="([^"]+)"')
GetError = Callable[..., tuple[int, str]]


def _fail(shelf: "Shelf", count: int, error_class: str = "unparsable", **values: object) -> str:
    seeds = [f"{error_class}-{number}" for number in range(count)]
    batch = shelf.batch(*seeds, state="completed")
    shelf.answer(batch, *seeds, tags=None, error_class=error_class, **values)
    return batch


def _excused(app: "App") -> list[str]:
    with app.store.read() as connection:
        return [error.seed for error in list_errors(connection, limit=None) if error.excused]


def test_without_failures_the_page_says_so(served: "Served") -> None:
    html = served.get("/errors")

    assert "Nothing has failed." in html
    assert "0 failures of tagging" in html


def test_failures_are_grouped_and_lead_to_their_list(served: "Served", shelf: "Shelf") -> None:
    _fail(shelf, 3)
    _fail(shelf, 1, "refused")
    html = served.get("/errors")
    [address] = re.findall(r'href="(/errors\?stage=tagging&amp;error=unparsable[^"]+)"', html)
    listed = served.get(address.replace("&amp;", "&"))

    assert "4 failures of tagging" in html
    assert "3 failures of tagging" in listed
    assert len(_SHOWN.findall(listed)) == 3
    assert 'class="chosen"' in listed


def test_a_filter_chooses_failures(served: "Served", shelf: "Shelf") -> None:
    _fail(shelf, 3)
    _fail(shelf, 1, "refused")
    expected = {
        "": 4, "error=refused": 1, "provider=groq": 4, "provider=openai": 0,
        "model=openai%2Fgpt-oss-20b&run=1": 4, "run=2": 0, "stage=refinement": 0,
        "error=no+such+class": 0,
    }  # fmt: skip

    assert {
        query: len(_SHOWN.findall(served.get(f"/errors?{query}"))) for query in expected
    } == expected


def test_a_batch_has_its_own_failures(served: "Served", shelf: "Shelf") -> None:
    _fail(shelf, 3)
    batch = _fail(shelf, 2, "refused")
    html = served.get(f"/errors?stage=tagging&batch={batch}")

    assert len(_SHOWN.findall(html)) == 2
    assert f'href="/workflows/{batch}"' in html


def test_the_newest_come_first_and_pages_lead_on_and_back(served: "Served", shelf: "Shelf") -> None:
    _fail(shelf, 15)
    _fail(shelf, 10, "refused")
    first = served.get("/errors?provider=groq")
    [(_, onwards)] = _LINK.findall(first)
    second = served.get(onwards.replace("&amp;", "&"))
    [(_, back)] = _LINK.findall(second)
    ids = [int(name) for name in _SHOWN.findall(first) + _SHOWN.findall(second)]

    assert len(ids) == 25
    assert ids == sorted(ids, reverse=True)
    assert "provider=groq" in onwards
    assert _SHOWN.findall(served.get(back.replace("&amp;", "&"))) == _SHOWN.findall(first)


def test_what_the_model_wrote_is_text_and_cut(served: "Served", shelf: "Shelf") -> None:
    _fail(shelf, 1, response=HOSTILE + "x" * 100_000, error=HOSTILE + "y" * 100_000)
    html = served.get("/errors")
    [response, error] = re.findall(r'href="(/errors/tagging/\d+/(?:response|error))"', html)[::-1]

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert f"{len(HOSTILE) + 100_000:,} characters" in html
    assert len(html) < 30_000
    with served.open(response) as whole:
        assert whole.headers["content-type"] == "text/plain; charset=utf-8"
        assert whole.headers["x-content-type-options"] == "nosniff"
        assert whole.read().decode() == HOSTILE + "x" * 100_000
    assert served.get(error) == HOSTILE + "y" * 100_000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("tagging/999/error", 404), ("refinement/1/response", 404), ("tagging/-1/error", 422),
        ("tagging/99999999999999999999/error", 422), ("other/1/error", 422),
        ("tagging/1/api_key", 422),
    ],
)  # fmt: skip
def test_a_text_that_is_not_kept_is_not_found(
    full: "Served", get_error: GetError, path: str, status: int
) -> None:
    assert get_error(f"{full.url}/errors/{path}")[0] == status


def test_what_the_filter_chooses_is_asked_again(
    served: "Served", shelf: "Shelf", app: "App"
) -> None:
    _fail(shelf, 3)
    _fail(shelf, 2, "refused")
    html = served.get("/errors?error=refused")
    [key] = _KEY.findall(html)
    fields = (("once", key), ("error", "refused"))
    answer = served.post("/errors/retry", *fields)
    again = served.post("/errors/retry", *fields)

    assert 'type="hidden" name="error" value="refused"' in html
    assert answer.notice == again.notice == "2 failed requests may be asked again."
    assert answer.headers["location"] == "/errors?error=refused"
    assert _excused(app) == ["refused-0", "refused-1"]
    assert "excused" in served.get("/errors?error=refused")


def test_a_retry_needs_a_key_and_a_number(served: "Served", shelf: "Shelf", app: "App") -> None:
    _fail(shelf, 1)

    assert served.post("/errors/retry").status == 400
    assert served.post("/errors/retry", ("once", "k"), ("run", "one")).status == 400
    assert served.post("/errors/retry", ("once", "k"), ("model", "a\0b")).status == 400
    assert _excused(app) == []


def test_an_open_page_shows_a_new_failure(served: "Served", shelf: "Shelf") -> None:
    served.get("/errors")
    with served.follow("/errors/live") as viewer:
        viewer.next()
        _fail(shelf, 1)
        html = viewer.next().html
        while "error-1" not in html:
            html = viewer.next().html

    assert "1 failure of tagging" in html
