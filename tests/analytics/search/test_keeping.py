"""What an embeddings API was paid for is there after a crash, and is bought only once."""

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from benchmarks.arena import Sandbox, start_sandbox
from grabient_ops.analytics.manifest import write_manifest
from grabient_ops.analytics.refined import REFINED, read_refined
from grabient_ops.analytics.search.index import open_index
from grabient_ops.analytics.search.keeping import FOLDER, KeepingEmbedder, keeping
from grabient_ops.analytics.search.refresh import refresh_refined
from grabient_ops.analytics.warehouse import Warehouse, open_warehouse
from grabient_ops.errors import ConfigError, InputError
from grabient_ops.providers.embeddings import EndpointEmbedder
from grabient_ops.store.tables import changes

if TYPE_CHECKING:
    from tests.analytics.conftest import Home
    from tests.analytics.search.conftest import Counting

_PER_CALL = 8
_REFRESH = """
import sys
from pathlib import Path
from grabient_ops.analytics.search.refresh import refresh_refined
from grabient_ops.providers.embeddings import EndpointEmbedder
lake, store, api, per_call = sys.argv[1:]
embedder = EndpointEmbedder(api, "m", "key", texts_per_call=int(per_call))
refresh_refined(Path(lake), store, embedder)
"""


@pytest.fixture
def paid(counting: "Counting") -> "Counting":
    """An embedder that is paid for every three texts."""
    counting.texts_per_call = 3
    return counting


def _refine(home: "Home", count: int) -> None:
    home.refine(*(home.refined(n, f"text {n}", batch_id=f"b{n % 7}") for n in range(count)))


@pytest.mark.timeout(240)
def test_killed_midway_every_text_is_bought_once(home: "Home") -> None:
    count, kills = 480, 3
    _refine(home, count)
    sandbox = start_sandbox()
    try:
        for kill in range(1, kills + 1):
            with subprocess.Popen([sys.executable, "-c", _REFRESH, *_where(home, sandbox)]) as some:
                _wait_for_texts(sandbox, kill * count // (kills + 2))
                some.kill()
            assert read_refined(home.lake / REFINED) is None
        embedder = EndpointEmbedder(f"{sandbox.url}/v1", "m", "key")
        refreshed = refresh_refined(home.lake, home.url, embedder)
        books = sandbox.ledger()["embedded"]
        again = refresh_refined(home.lake, home.url, embedder)
        assert sandbox.ledger()["embedded"] == books
    finally:
        sandbox.kill()

    assert (refreshed.read, again.read) == (count, 0)
    assert len(open_index(home.lake).seeds) == count
    # What was under way at a kill was paid, and nobody heard the answer.
    assert books["texts"] - books["again"] == count
    assert books["again"] <= kills * _PER_CALL


def _where(home: "Home", sandbox: Sandbox) -> tuple[str, ...]:
    return str(home.lake), home.url, f"{sandbox.url}/v1", str(_PER_CALL)


def _wait_for_texts(sandbox: Sandbox, count: int) -> None:
    deadline = time.monotonic() + 120
    while sandbox.ledger()["embedded"]["texts"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_api_that_fails_midway_costs_nothing_twice(home: "Home", paid: "Counting") -> None:
    _refine(home, 10)

    def fail_at_the_third() -> None:
        if len(paid.texts) == 6:
            raise InputError("no")

    paid.before = fail_at_the_third
    with pytest.raises(InputError):
        refresh_refined(home.lake, home.url, paid)
    paid.before = lambda: None
    refresh_refined(home.lake, home.url, paid)

    assert sorted(paid.texts) == sorted(f"text {n}" for n in range(10))
    assert [*(home.lake / REFINED / FOLDER).iterdir()] == []


def test_vectors_are_those_that_the_api_gave(
    home: "Home", paid: "Counting", counting_of: "type[Counting]"
) -> None:
    _refine(home, 10)
    refresh_refined(home.lake, home.url, paid)
    index = open_index(home.lake)

    expected = counting_of().embed([*index.texts])
    np.testing.assert_array_equal(index.vectors, expected)


def test_a_text_of_two_pages_is_bought_once(tmp_path: Path, paid: "Counting") -> None:
    with keeping(paid, tmp_path) as embedder:
        first = embedder.embed(["one", "two", "one"])
        second = embedder.embed(["two", "three"])

    assert paid.texts == ["one", "two", "three"]
    np.testing.assert_array_equal(first[1], second[0])


def test_what_costs_nothing_is_not_kept(tmp_path: Path, counting: "Counting") -> None:
    with keeping(counting, tmp_path) as embedder:
        assert embedder is counting

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("lost", [1, 4, 40, 68, 100])
def test_a_record_cut_short_is_made_again(tmp_path: Path, paid: "Counting", lost: int) -> None:
    texts = ["one", "凉 🌊", "three"]
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        before = embedder.embed(texts)
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-lost])
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        np.testing.assert_array_equal(embedder.embed(texts), before)
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        np.testing.assert_array_equal(embedder.embed(texts), before)

    assert paid.texts == [*texts, *texts[-1:]]


def test_what_follows_damage_is_made_again(tmp_path: Path, paid: "Counting") -> None:
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        before = embedder.embed(["one", "two", "three"])
    (file,) = (tmp_path / FOLDER).iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        np.testing.assert_array_equal(embedder.embed(["one", "two", "three"]), before)

    assert paid.texts[3:] == ["two", "three"]


def test_each_model_keeps_its_own(
    tmp_path: Path, paid: "Counting", counting_of: "type[Counting]"
) -> None:
    other = counting_of("test/2", 24)
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        embedder.embed(["one"])
    with KeepingEmbedder(other, 3, tmp_path) as embedder:
        assert embedder.embed(["one"]).shape == (1, 24)
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        assert embedder.embed(["one"]).shape == (1, 16)

    assert (paid.texts, other.texts) == (["one"], ["one"])


def test_vectors_of_another_length_than_the_kept_are_refused(
    tmp_path: Path, paid: "Counting"
) -> None:
    with KeepingEmbedder(paid, 3, tmp_path) as embedder:
        embedder.embed(["one"])
    paid.size = 8

    with (
        KeepingEmbedder(paid, 3, tmp_path) as embedder,
        pytest.raises(ConfigError, match="EMBEDDING_MODEL"),
    ):
        embedder.embed(["one", "two"])


def test_on_sqlite_another_store_with_the_same_texts_buys_nothing(
    sqlite_home: "Home", paid: "Counting"
) -> None:
    home = sqlite_home
    _refine(home, 10)
    refresh_refined(home.lake, home.url, paid)
    with home.store.write() as connection:
        connection.execute(
            sa.update(changes).values(at=home.row(1)["created_at"].replace(year=2027))
        )
    refreshed = refresh_refined(home.lake, home.url, paid)

    assert (refreshed.read, refreshed.embedded) == (10, 0)
    assert len(paid.texts) == len(open_index(home.lake).seeds) == 10


def test_what_the_release_before_wrote_is_read_anew_with_its_vectors(
    home: "Home", paid: "Counting"
) -> None:
    home.refine(home.refined(1, "calm", cost=12_500_000_000, source="own"))
    home.refine(home.refined(2, "wild", input_tokens=2, batch_id="z"))
    refresh_refined(home.lake, home.url, paid)
    _as_format_1(home.lake / REFINED)
    with _warehouse(home) as warehouse:
        query = "SELECT seed, cost, input_tokens, source FROM refined ORDER BY seed"
        former = warehouse.connection.execute(query).fetchall()
    refreshed = refresh_refined(home.lake, home.url, paid)
    with _warehouse(home) as warehouse:
        rows = warehouse.connection.execute(query).fetchall()

    assert former == [("seed-1", None, None, None), ("seed-2", None, None, None)]
    assert rows == [("seed-1", 12_500_000_000, 700, "own"), ("seed-2", None, 2, "own")]
    assert (refreshed.read, refreshed.embedded, len(paid.texts)) == (2, 0, 2)


def _warehouse(home: "Home") -> Warehouse:
    home.sync()
    return open_warehouse(home.lake)


def _as_format_1(folder: Path) -> None:
    """Take away what format 2 has added."""
    manifest = read_refined(folder)
    assert manifest
    for part in manifest.parts:
        path = folder / part.file
        with duckdb.connect() as connection:
            connection.execute(
                f"CREATE TABLE old AS FROM '{path}' SELECT * EXCLUDE (input_tokens, output_tokens,"
                f" cached_tokens, reasoning_tokens, cost, source); COPY old TO '{path}'"
            )
    write_manifest(folder, replace(manifest, format=1))
