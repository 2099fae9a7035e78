"""One workflow and all of them, over HTTP, against a real store and a real journal."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from grabient_ops.pipeline.recovery import WORKFLOW_NAME
from grabient_ops.store.batches import load_batch
from tests.web.conftest import HOSTILE, NOW, SEEDS

if TYPE_CHECKING:
    from grabient_ops.app import App
    from tests.web.conftest import Served, Shelf

_ROW = re.compile(r'href="/workflows/([a-z0-9]+)"')
_LINK = re.compile(r'rel="(prev|next)" href="([^"]+)"')

Row = dict[str, Any]
GetError = Callable[..., tuple[int, str]]


def _journal(app: "App", batch_id: str, status: str, *steps: tuple[str, str | None]) -> None:
    """Write what a worker leaves in the journal."""
    app.journal().destroy()
    at = int(NOW.timestamp() * 1000)
    same = {"workflow_uuid": f"batch-{batch_id}"}
    workflow: Row = {
        **same, "status": status, "name": WORKFLOW_NAME, "executor_id": "worker",
        "created_at": at, "updated_at": at, "application_version": "ops-1", "priority": 0,
    }  # fmt: skip
    steps_taken: list[Row] = [
        {
            **same, "function_id": number, "function_name": name, "output": output,
            "started_at_epoch_ms": at, "completed_at_epoch_ms": at + 1500 * number,
        }
        for number, (name, output) in enumerate(steps, 1)
    ]  # fmt: skip
    _insert(app, "workflow_status", [workflow])
    _insert(app, "operation_outputs", steps_taken)


def _insert(app: "App", table: str, rows: list[Row]) -> None:
    engine = sa.create_engine(app.journal_url, poolclass=sa.NullPool)
    schema = "dbos" if engine.dialect.name == "postgresql" else None
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in rows[0]]
    with engine.begin() as connection:
        connection.execute(sa.insert(sa.table(table, *columns, schema=schema)), rows)


def _rows(html: str) -> list[str]:
    return list(dict.fromkeys(_ROW.findall(html)))


def test_a_workflow_shows_its_batch_counts_and_raw_error(served: "Served", shelf: "Shelf") -> None:
    error = f"refused {HOSTILE}"
    batch = shelf.batch(
        SEEDS[0], state="failed", ended_at=NOW + timedelta(seconds=90), error=error,
        error_class="invalid_request", provider_batch_id="batch_at_groq",
    )  # fmt: skip
    html = served.get(f"/workflows/{batch}")

    assert "<h1><bdi>openai/gpt-oss-20b</bdi>" in html
    assert "refused &lt;script&gt;alert(1)" in html
    assert "batch_at_groq" in html
    assert "after 1 min 30 s" in html
    assert 'data-copy="#workflow-trouble"' in html
    assert "The journal knows nothing of it any more" in html


def test_a_workflow_is_found_by_any_of_its_names(served: "Served", shelf: "Shelf") -> None:
    batch = shelf.batch(SEEDS[0], provider_batch_id="theirs-1")
    pages = {served.get(f"/workflows/{name}") for name in (batch, f"batch-{batch}", "theirs-1")}

    assert all(f"batch-{batch}" in page for page in pages)


@pytest.mark.parametrize("name", ["nobody", "%F0%9F%8D%95", "a%2Fb", "' OR 1=1"])
def test_an_unknown_workflow_is_not_found(full: "Served", get_error: GetError, name: str) -> None:
    assert get_error(f"{full.url}/workflows/{name.replace(' ', '%20')}")[0] == 404


def test_a_name_with_a_nul_is_refused(full: "Served", get_error: GetError) -> None:
    assert get_error(f"{full.url}/workflows/a%00b")[0] == 422


def test_steps_are_shown_with_times_and_outcomes(
    served: "Served", shelf: "Shelf", app: "App"
) -> None:
    batch = shelf.batch(SEEDS[0], state="completed", ended_at=NOW, provider_batch_id="theirs")
    _journal(app, batch, "SUCCESS", ("upload", '"file-1"'), ("create", '"theirs"'))
    html = served.get(f"/workflows/{batch}")

    assert re.search(r"upload</td>.*1\.5 s.*file-1.*create</td>.*3\.0 s.*theirs", html, re.DOTALL)
    assert html.count(f'action="/workflows/{batch}/restart"') == 2
    assert "/resume" not in html
    assert "/cancel" not in html


def test_only_what_is_possible_has_a_button(served: "Served", shelf: "Shelf", app: "App") -> None:
    waiting = shelf.batch(SEEDS[0], provider_batch_id="theirs-1")
    stopped = shelf.batch(SEEDS[1], state="stopped", provider_batch_id="theirs-2")
    never_sent = shelf.batch(SEEDS[2], state="failed", ended_at=NOW)
    _journal(app, waiting, "PENDING", ("upload", "null"))
    _journal(app, stopped, "ERROR", ("upload", "null"))
    _journal(app, never_sent, "ERROR", ("upload", "null"))
    actions = {
        name: sorted(set(re.findall(r'method="post" action="/workflows/\w+/(\w+)"', page)))
        for name, page in (
            ("waiting", served.get(f"/workflows/{waiting}")),
            ("stopped", served.get(f"/workflows/{stopped}")),
            ("never sent", served.get(f"/workflows/{never_sent}")),
        )
    }

    assert actions == {
        "waiting": ["cancel"],
        "stopped": ["cancel", "restart", "resume"],
        "never sent": [],
    }


def test_a_cancelled_batch_says_so_at_once(served: "Served", shelf: "Shelf", app: "App") -> None:
    batch = shelf.batch(SEEDS[0])
    answer = served.post(f"/workflows/{batch}/cancel")
    with app.store.read() as connection:
        asked_at = load_batch(connection, batch).cancel_requested_at

    assert (answer.status, answer.headers["location"]) == (303, f"/workflows/{batch}")
    assert answer.notice == "It will be cancelled now; what was finished is still collected."
    assert asked_at is not None
    assert "To be cancelled" in served.get(f"/workflows/{batch}")


def test_what_has_ended_cannot_be_cancelled(served: "Served", shelf: "Shelf") -> None:
    batch = shelf.batch(SEEDS[0], state="completed", ended_at=NOW)
    answer = served.post(f"/workflows/{batch}/cancel", hx_request="true")

    assert answer.status == 400
    assert "has ended: completed" in answer.html


def test_a_restart_begins_at_the_step_that_was_chosen(
    served: "Served", shelf: "Shelf", app: "App"
) -> None:
    batch = shelf.batch(SEEDS[0], state="completed", ended_at=NOW, provider_batch_id="theirs")
    _journal(app, batch, "SUCCESS", ("upload", "null"), ("create", '"theirs"'), ("collect", "true"))
    answer = served.post(f"/workflows/{batch}/restart", ("step", "3"))
    unknown = served.post(f"/workflows/{batch}/restart", ("step", "9"), hx_request="true")
    html = served.get(f"/workflows/{batch}")

    assert answer.notice == "It goes on as soon as a worker runs."
    assert unknown.status == 400
    assert "waiting to start" in html
    assert "create</td>" in html
    assert "collect</td>" not in html


def test_an_open_page_follows_the_batch(served: "Served", shelf: "Shelf") -> None:
    batch = shelf.batch(SEEDS[0], SEEDS[1])
    address = f"/workflows/{batch}"
    served.get(address)
    with served.follow(f"{address}/live") as viewer:
        viewer.next()
        shelf.update(batch, live_completed=1)
        event = viewer.next()

    assert "workflow-head" in event.targets
    assert "1 of 2" in event.html


def test_history_is_filtered(served: "Served", shelf: "Shelf") -> None:
    ended = shelf.batch(SEEDS[0], state="completed", ended_at=NOW)
    waiting = shelf.batch(SEEDS[1])
    refinement = shelf.batch(SEEDS[2], state="failed", kind="refinement", ended_at=NOW)
    other = shelf.batch(SEEDS[3], provider="openai", model="gpt-4o-mini")

    def found(query: str) -> set[str]:
        return set(_rows(served.get(f"/history?{query}")))

    assert found("") == {ended, waiting, refinement, other}
    assert found("kind=refinement") == {refinement}
    assert found("state=completed") == {ended}
    assert found("state=in+flight") == {waiting, other}
    assert found("provider=openai") == {other}
    assert found("model=groq%2Fopenai%2Fgpt-oss-20b&kind=tagging") == {ended, waiting}
    assert found("begin=2026-11-22&end=2026-11-22") == {ended, waiting, refinement, other}
    assert found("begin=2026-11-23") == found("end=2026-11-21") == set()
    assert found(f"prompt={shelf.version}&state=failed") == {refinement}


def test_history_has_pages_by_key(served: "Served", shelf: "Shelf") -> None:
    ids = [shelf.batch(f"seed-{number}") for number in range(60)]
    first = served.get("/history?kind=tagging")
    [(_, onwards)] = _LINK.findall(first)
    second = served.get(onwards.replace("&amp;", "&"))
    [(_, back)] = _LINK.findall(second)

    assert len(_rows(first)) == 50
    assert len(_rows(second)) == 10
    assert set(_rows(first) + _rows(second)) == set(ids)
    assert "kind=tagging" in onwards
    assert _rows(served.get(back.replace("&amp;", "&"))) == _rows(first)


@pytest.mark.parametrize("query", ["begin=yesterday", "begin=2026-13-01", "kind=other"])
def test_a_filter_that_means_nothing_is_refused(
    full: "Served", get_error: GetError, query: str
) -> None:
    assert get_error(f"{full.url}/history?{query}")[0] == 422


def test_the_last_day_of_all_is_a_day(full: "Served") -> None:
    assert "No workflow is like that" in full.get("/history?begin=9999-12-31&end=9999-12-31")


def test_an_address_of_an_unknown_page_begins_at_the_top(served: "Served", shelf: "Shelf") -> None:
    batch = shelf.batch(SEEDS[0])

    assert _rows(served.get("/history?after=gone")) == [batch]
    assert _rows(served.get("/history?before=gone")) == [batch]


def test_a_hostile_error_stands_in_a_row_as_text(served: "Served", shelf: "Shelf") -> None:
    shelf.batch(SEEDS[0], state="failed", ended_at=NOW, error=HOSTILE + "x" * 100_000)
    html = served.get("/history")

    assert "<script>alert" not in html
    assert len(html) < 50_000
