"""The client against the sandbox's deployment, and against answers that no deployment gives."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from typing_extensions import override

from benchmarks.arena import Sandbox
from grabient_ops.errors import (
    AuthenticationError,
    ConfigError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
)
from grabient_ops.importers.convex.http import ConvexHttp, RefusedError
from grabient_ops.importers.convex.stream import ConvexStream, CursorExpiredError, Page
from grabient_ops.importers.values import ImportedAnswer, ImportedPalette, Refused
from tests.importers.conftest import Deployment, convex_documents, insert

KEY = "prod:happy|a-secret"


class Pauses(list[float]):
    """Notes how long it should have waited, and goes on at once, at most so often."""

    most = 100

    def __call__(self, seconds: float) -> bool:
        self.append(seconds)
        return len(self) >= self.most


@pytest.fixture
def deployment(sandbox: Sandbox) -> Deployment:
    return Deployment(sandbox)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


Connect = Callable[..., ConvexHttp]


@pytest.fixture
def connect(pauses: Pauses) -> Iterator[Connect]:
    """Makes clients, which hang up after the test."""
    made: list[ConvexHttp] = []

    def open_client(url: str, key: str = KEY) -> ConvexHttp:
        made.append(ConvexHttp(url, key, pauses))
        return made[-1]

    yield open_client
    for http in made:
        http.close()


@pytest.fixture
def stream(deployment: Deployment, connect: Connect) -> ConvexStream:
    return ConvexStream(connect(deployment.url))


def pages(stream: ConvexStream, cursor: str | None = None) -> list[Page]:
    read = [stream.page(cursor)]
    while not read[-1].is_current:
        read.append(stream.page(read[-1].cursor))
    return read


@pytest.mark.parametrize("knows_sync", [0, 1])
@pytest.mark.parametrize("knows_export_json", [0, 1])
def test_both_exports_and_both_formats_give_the_same_rows(
    deployment: Deployment, stream: ConvexStream, knows_sync: int, knows_export_json: int
) -> None:
    deployment.fill(convex_documents())
    deployment.set(
        knows_sync=knows_sync, knows_export_json=knows_export_json, sync_page=4, snapshot_page=4
    )
    read = pages(stream)
    records = [version.record for page in read for version in page.versions]

    assert len(read) > 3
    assert [page.is_whole for page in read[:2]] == [False, False]
    assert sum(isinstance(record, ImportedPalette) for record in records) == 6
    answers = [record for record in records if isinstance(record, ImportedAnswer)]
    assert sorted(a.run_number for a in answers if not a.refinement) == [1, 2, 3]
    assert {version.table for page in read for version in page.versions} == {
        "palettes", "palette_tags", "palette_tag_refined", "tag_batches", "prompt_versions",
    }  # fmt: skip


@pytest.mark.parametrize("knows_sync", [0, 1])
def test_a_deletion_has_only_an_id_and_a_transaction_is_on_one_page(
    deployment: Deployment, stream: ConvexStream, knows_sync: int
) -> None:
    deployment.set(knows_sync=knows_sync, sync_page=2, deltas_page=2)
    seeds = convex_documents()["palettes"]
    cursor = pages(stream)[-1].cursor
    ids = deployment.commit(*(insert("palettes", row) for row in seeds))
    deployment.commit({"delete": ids[0]})
    read = pages(stream, cursor)

    assert [len(page.versions) for page in read] == [6, 1]
    assert (read[1].versions[0].source_id, read[1].versions[0].record) == (ids[0], None)


@pytest.mark.parametrize("knows_sync", [0, 1])
def test_a_cursor_that_has_expired_is_told_from_other_refusals(
    deployment: Deployment, stream: ConvexStream, knows_sync: int
) -> None:
    deployment.set(knows_sync=knows_sync)
    cursor = pages(stream)[-1].cursor
    deployment.expire()

    with pytest.raises(CursorExpiredError):
        stream.page(cursor)
    with pytest.raises(CursorExpiredError):
        stream.page("of another release")
    assert pages(stream)[-1].is_whole


def test_a_truncated_table_is_named_before_what_fills_it(
    deployment: Deployment, stream: ConvexStream
) -> None:
    [row, *_] = convex_documents()["palettes"]
    deployment.commit(insert("palettes", row))
    cursor = pages(stream)[-1].cursor
    deployment.commit({"truncate": "palettes"}, insert("palettes", row))
    [page] = pages(stream, cursor)

    assert page.truncated == ("palettes",)
    assert len(page.versions) == 1


def test_a_busy_deployment_is_asked_again_as_it_wishes(
    sandbox: Sandbox, stream: ConvexStream, pauses: Pauses
) -> None:
    sandbox.faults(rate_limit=1)
    with pytest.raises(RateLimitedError):
        stream.page(None)
    assert len(pauses) == 7
    assert min(pauses) >= 1


def test_it_stops_waiting_when_it_is_told_to(
    sandbox: Sandbox, stream: ConvexStream, pauses: Pauses
) -> None:
    sandbox.faults(unavailable=1)
    pauses.most = 2
    with pytest.raises(UnavailableError):
        stream.page(None)
    assert len(pauses) == 2


def test_a_wrong_key_is_not_tried_twice(
    deployment: Deployment, connect: Connect, pauses: Pauses
) -> None:
    with pytest.raises(AuthenticationError, match="BadAdminKey"):
        ConvexStream(connect(deployment.url, "invalid")).page(None)
    assert pauses == []


def test_a_mutation_that_is_unknown_or_unanswered(
    sandbox: Sandbox, deployment: Deployment, connect: Connect
) -> None:
    http = connect(deployment.url)
    with pytest.raises(RefusedError, match="Could not find public function"):
        http.mutate("missing:function", {})
    sandbox.faults(convex_drop_mutation=0.5)
    for number in range(5):
        http.mutate("module:function", {"idempotencyKey": str(number)})
    assert len(deployment.documents("palette_tag_refined")) == 5


def test_an_address_is_one_of_the_web() -> None:
    for url in ("", "happy.convex.cloud", "file:///etc/passwd", "http://"):
        with pytest.raises(ConfigError):
            ConvexHttp(url, KEY, Pauses())
    assert not ConvexHttp("http://127.0.0.1:3210", KEY, Pauses()).is_open_to_listeners
    assert ConvexHttp("http://happy.example", KEY, Pauses()).is_open_to_listeners


@pytest.fixture
def answering(connect: Connect, pauses: Pauses) -> Iterator[Callable[[int, bytes], ConvexStream]]:
    """Starts a server that always gives one answer."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, content: bytes) -> ConvexStream:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            @override
            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        pauses.most = 2
        return ConvexStream(connect(f"http://127.0.0.1:{server.server_port}"))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b'{"values": 1}', b"\xff\xfe", b"[" * 100_000, b'{"status": {}}'],
)
def test_an_answer_that_is_no_page_is_a_failure_of_the_deployment(
    answering: Callable[[int, bytes], ConvexStream], content: bytes
) -> None:
    with pytest.raises(UnavailableError, match="gave something else"):
        answering(200, content).page(None)


def test_an_error_never_shows_the_key(answering: Callable[[int, bytes], ConvexStream]) -> None:
    problem = json.dumps({"code": "Odd", "message": f"you sent {KEY}"}).encode()
    with pytest.raises(RefusedError) as caught:
        answering(400, problem).page(None)
    assert str(caught.value) == "convex: Odd: you sent ***"


def test_a_server_that_knows_neither_export_is_said_to(
    answering: Callable[[int, bytes], ConvexStream],
) -> None:
    with pytest.raises(NotFoundError):
        answering(404, b"no").page(None)


def test_documents_that_are_odd_are_refused_one_by_one(
    answering: Callable[[int, bytes], ConvexStream],
) -> None:
    values = [
        {"table": "palettes", "ts": 1, "value": {"_id": 7, "seed": "x"}},
        {"table": "palettes", "ts": 1, "value": {}},
        {"table": "unknown", "ts": 1, "value": {}},
        {"component": "aggregate", "table": "palettes", "ts": 1, "value": {}},
    ]
    page = {"status": {"type": "upToDate"}, "values": values, "pagination": {"nextCursor": "c"}}
    versions = answering(200, json.dumps(page).encode()).page(None).versions

    assert [type(version.record) for version in versions] == [Refused, Refused]
