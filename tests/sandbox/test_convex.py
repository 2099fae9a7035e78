"""The Convex deployment of the sandbox answers as the real one is documented to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from benchmarks.arena import Sandbox

if TYPE_CHECKING:
    from tests.conftest import SandboxStarter

KEY = {"authorization": "Convex sandbox"}
Post = Callable[..., httpx2.Response]


@pytest.fixture
def post(sandbox: Sandbox) -> Iterator[Post]:
    """Calls the deployment with a good key."""
    with httpx2.Client(base_url=sandbox.url, headers=KEY) as client:

        def call(path: str, **body: object) -> httpx2.Response:
            return client.post(path, json=body)

        yield call


def commit(sandbox: Sandbox, *steps: dict[str, Any]) -> list[str]:
    ids: list[str] = sandbox.call("/sandbox/convex", {"transaction": steps})["ids"]
    return ids


def insert(number: int, table: str = "palettes") -> dict[str, Any]:
    return {"insert": table, "document": {"number": number}}


def test_a_snapshot_is_followed_by_a_tail(sandbox: Sandbox, post: Post) -> None:
    commit(sandbox, insert(1), insert(2))
    sandbox.call("/sandbox/convex", {"set": {"sync_page": 2}})
    first = post("/api/v1/data/sync").json()
    assert first["status"] == {"type": "snapshotting"}
    assert [value["value"]["number"] for value in first["values"]] in ([1.0, 2.0], [2.0, 1.0])
    assert first["pagination"]["hasMore"] is True

    second = post("/api/v1/data/sync", cursor=first["pagination"]["nextCursor"]).json()
    assert (second["values"], second["status"]["type"]) == ([], "upToDate")

    [gone] = commit(sandbox, insert(3))
    commit(sandbox, {"delete": gone})
    third = post("/api/v1/data/sync", cursor=second["pagination"]["nextCursor"]).json()
    assert [(v["deleted"], sorted(v["value"])) for v in third["values"]] == [
        (False, ["_creationTime", "_id", "number"]), (True, ["_id"]),
    ]  # fmt: skip


def test_the_older_export_counts_rows_that_it_does_not_show(sandbox: Sandbox, post: Post) -> None:
    start = post("/api/list_snapshot").json()
    sandbox.call("/sandbox/convex", {"set": {"deltas_page": 1}})
    commit(sandbox, {"truncate": "palettes"}, insert(1))
    commit(sandbox, insert(2))
    page = post("/api/document_deltas", cursor=start["snapshot"]).json()

    assert (page["values"], page["hasMore"]) == ([], True)
    [value] = post("/api/document_deltas", cursor=page["cursor"]).json()["values"]
    assert (value["number"], value["_table"]) == (2.0, "palettes")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/v1/data/sync", {"cursor": "x"}, 400, "InvalidDataSyncCursor"),
        ("/api/v1/data/sync", {"selection": 1}, 400, "InvalidDataSyncSelection"),
        ("/api/list_snapshot", {"cursor": "x"}, 400, "InvalidListSnapshotCursor"),
        ("/api/list_snapshot", {"snapshot": 2**62}, 400, "SnapshotTooNew"),
        ("/api/list_snapshot", {"format": "xml"}, 400, "BadFormat"),
        ("/api/document_deltas", {}, 400, "DocumentDeltasCursorRequired"),
        ("/api/nothing", {}, 404, "NotFound"),
    ],
)
def test_a_wrong_call_has_the_code_of_the_real_one(
    post: Post, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = post(path, **body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_that_is_none_is_refused(sandbox: Sandbox) -> None:
    for value in ("Bearer x", "Convex invalid", "Convex"):
        answer = httpx2.post(f"{sandbox.url}/api/list_snapshot", headers={"authorization": value})
        assert (answer.status_code, answer.json()["code"]) == (401, "BadAdminKey")


@pytest.mark.parametrize("fault", ["convex_expire", "convex_resnapshot", "convex_cut"])
def test_each_fault_strikes_when_it_is_asked_for(sandbox: Sandbox, post: Post, fault: str) -> None:
    commit(sandbox, insert(1))
    cursor = post("/api/v1/data/sync").json()["pagination"]["nextCursor"]
    sandbox.faults(**{fault: 1})
    match fault:
        case "convex_expire":
            code = post("/api/v1/data/sync", cursor=cursor).json()["code"]
            assert code == "DataSyncCursorExpired"
        case "convex_resnapshot":
            assert len(post("/api/v1/data/sync", cursor=cursor).json()["values"]) == 1
        case _:
            with pytest.raises(httpx2.RemoteProtocolError):
                post("/api/v1/data/sync", cursor=cursor)


def test_documents_and_cursors_survive_a_kill(
    sandbox_starter: "SandboxStarter", tmp_path: Path
) -> None:
    state = ("--state", str(tmp_path / "state"))
    before = sandbox_starter(*state)
    commit(before, insert(1))
    body = httpx2.post(f"{before.url}/api/v1/data/sync", headers=KEY).json()
    before.kill()
    after = sandbox_starter(*state)
    commit(after, insert(2))
    cursor = {"cursor": body["pagination"]["nextCursor"]}
    page = httpx2.post(f"{after.url}/api/v1/data/sync", headers=KEY, json=cursor).json()

    assert [value["value"]["number"] for value in page["values"]] == [2.0]
    assert len(after.call("/sandbox/convex")["documents"]["palettes"]) == 2
