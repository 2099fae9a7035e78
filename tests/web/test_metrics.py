import re
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import pytest
from fastapi.testclient import TestClient

from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.sync import sync
from grabient_ops.app import App
from grabient_ops.errors import StoreError
from grabient_ops.store.engine import Store
from grabient_ops.web.app import create_web
from grabient_ops.web.metrics import routes
from grabient_ops.web.metrics.exposition import Family, Sample, write
from grabient_ops.web.metrics.timing import Timings
from tests.web.conftest import SEEDS

if TYPE_CHECKING:
    from tests.web.conftest import Served, Shelf

HERE = "http://127.0.0.1:4100"
_LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\n"])*"'
_SAMPLE = re.compile(rf"grabient_ops_[a-z_]+(?:\{{{_LABEL}(?:,{_LABEL})*\}})? [0-9.e+-]+")
_COMMENT = re.compile(r"# (?:HELP grabient_ops_[a-z_]+ \S.*|TYPE grabient_ops_[a-z_]+ [a-z]+)")


class Scraped(NamedTuple):
    """What Prometheus would read."""

    text: str

    def value(self, name: str) -> float:
        """One figure, by its name and labels as they are written."""
        (found,) = (line for line in self.text.splitlines() if line.startswith(f"{name} "))
        return float(found.split()[-1])


@pytest.fixture
def client(app: App) -> TestClient:
    return TestClient(create_web(app), HERE)


def scrape(client: TestClient) -> Scraped:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scraped(answer.text)


def test_every_line_is_one_that_prometheus_reads(client: TestClient, shelf: "Shelf") -> None:
    shelf.fill()
    sync(shelf.app.lake, shelf.app.settings.store_url)
    client.get("/api/v1/status")

    lines = scrape(client).text.splitlines()

    assert len(lines) > 40
    assert [
        line for line in lines if not (_SAMPLE.fullmatch(line) or _COMMENT.fullmatch(line))
    ] == []
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(set(names)) == len(names)


def test_figures_are_those_of_the_store(client: TestClient, shelf: "Shelf") -> None:
    shelf.fill()

    figures = scrape(client)

    assert figures.value("grabient_ops_palettes") == 6
    assert figures.value('grabient_ops_batches{state="completed"}') == 1
    assert figures.value('grabient_ops_requests{state="waiting"}') == 3
    assert figures.value('grabient_ops_workflows{state="running"}') == 2
    assert figures.value('grabient_ops_cost_usd{of="reserved"}') == 0
    assert figures.value('grabient_ops_worker{state="none"}') == 1


def test_answers_and_tokens_are_those_of_the_warehouse(client: TestClient, shelf: "Shelf") -> None:
    shelf.fill()
    sync(shelf.app.lake, shelf.app.settings.store_url)

    figures = scrape(client)

    model = 'provider="groq",model="openai/gpt-oss-20b"'
    assert figures.value(f'grabient_ops_answers{{{model},outcome="tagged"}}') == 2
    assert figures.value(f'grabient_ops_answers{{{model},outcome="failed"}}') == 1
    assert figures.value(f'grabient_ops_tokens{{{model},direction="input"}}') == 2100


def test_the_warehouse_is_behind_by_the_batches_with_new_answers_only(
    client: TestClient, shelf: "Shelf", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_FRESH_S", 0.0)
    shelf.fill()
    sync(shelf.app.lake, shelf.app.settings.store_url)

    shelf.update(shelf.any_batch(), live_completed=1)
    assert scrape(client).value("grabient_ops_lake_batches_behind") == 0

    shelf.answer(shelf.any_batch(), SEEDS[3])
    assert scrape(client).value("grabient_ops_lake_batches_behind") == 1


def test_a_warehouse_of_another_store_is_behind_without_end(
    client: TestClient, shelf: "Shelf"
) -> None:
    shelf.fill()
    with open_lake(shelf.app.lake) as writer:
        writer.publish({"store": "another", "cluster": "elsewhere"})

    assert scrape(client).value("grabient_ops_lake_batches_behind") == inf


def test_without_a_warehouse_there_is_less_but_no_failure(client: TestClient) -> None:
    text = scrape(client).text

    assert "grabient_ops_palettes 0" in text
    assert "lake_generation" not in text


def test_open_streams_are_counted(served: "Served", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_FRESH_S", 0.0)
    with served.follow() as viewer:
        viewer.next()
        assert Scraped(served.get("/metrics")).value("grabient_ops_live_streams") == 1


def test_answers_are_timed_by_endpoint_and_not_by_address(client: TestClient) -> None:
    for seed in ("a", "b", "c"):
        client.get(f"/api/v1/palettes/{seed}")
    client.get("/static/css/base.css")
    client.get("/nowhere/at/all")

    figures = scrape(client)

    labels = 'method="GET",endpoint="show_palette",status="404"'
    assert figures.value(f"grabient_ops_http_seconds_count{{{labels}}}") == 3
    assert figures.value(f'grabient_ops_http_seconds_bucket{{{labels},le="+Inf"}}') == 3
    assert 'endpoint="static",status="200"' in figures.text
    assert 'endpoint="other",status="404"' in figures.text
    assert "nowhere" not in figures.text


def test_a_histogram_counts_what_is_below_each_bound() -> None:
    timings = Timings()
    for seconds in (0.001, 0.005, 0.02, 99.0):
        timings.note("GET", "x", 200, seconds)

    samples = {s.labels.get("le", s.suffix): s.value for s in timings.family().samples}

    assert [samples[bound] for bound in ("0.005", "0.01", "0.025", "10", "+Inf")] == [2, 2, 3, 3, 4]
    assert samples["_count"] == 4
    assert samples["_sum"] == pytest.approx(99.026)


def test_hostile_labels_stay_in_their_quotes() -> None:
    family = Family("x", "gauge", "X.", [Sample(1, {"model": 'a"} 1\n\\'})])

    assert write([family]).splitlines()[2] == r'grabient_ops_x{model="a\"} 1\n\\"} 1'


def test_the_server_is_alive_and_ready(client: TestClient) -> None:
    assert [client.get(path).text for path in ("/healthz", "/readyz")] == ["ok\n", "ok\n"]


def test_without_its_store_the_server_is_alive_but_not_ready(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_store: Store) -> None:
        raise StoreError("the store postgresql://ops:hunter2@db failed")

    monkeypatch.setattr(Store, "read", fail)

    answer = client.get("/readyz")

    assert (answer.status_code, client.get("/healthz").status_code) == (503, 200)
    assert "hunter2" not in answer.text


def test_many_scrapes_ask_the_store_once(
    client: TestClient, shelf: "Shelf", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_FRESH_S", 60.0)
    before = scrape(client).value("grabient_ops_palettes")
    shelf.palettes("new")

    assert scrape(client).value("grabient_ops_palettes") == before
