import json
import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from grabient_ops.analytics import manifest
from grabient_ops.analytics.console import run_query
from grabient_ops.analytics.refined import read_refined
from grabient_ops.analytics.search.embedding import WordVectors
from grabient_ops.analytics.search.index import EmptyIndexError, Index, open_index
from grabient_ops.analytics.search.refresh import Refreshed, refresh_refined
from grabient_ops.analytics.search.writing import open_refined
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.errors import ConfigError, InputError, StoreError
from grabient_ops.store.changes import announce
from grabient_ops.store.tables import changes, palette_tag_refined

if TYPE_CHECKING:
    from tests.analytics.conftest import Home
    from tests.analytics.search.conftest import Counting

Refresh = Callable[[], Refreshed]


@pytest.fixture
def refresh(home: "Home", counting: "Counting") -> Refresh:
    return lambda: refresh_refined(home.lake, home.url, counting)


def _contents(index: Index) -> list[tuple[Any, ...]]:
    """All that an index says, whatever its files are."""
    vectors = [vector.tobytes() for vector in index.vectors]
    return sorted(zip(index.seeds, index.tags, index.texts, vectors, strict=True))


def _rebuilt(home: "Home", embedder: "Counting") -> list[tuple[Any, ...]]:
    fresh = home.folder / f"fresh-{time.time_ns()}"
    refresh_refined(fresh, home.url, embedder)
    return _contents(open_index(fresh))


def _texts(home: "Home") -> dict[str, str]:
    index = open_index(home.lake)
    return dict(zip(index.seeds, index.texts, strict=True))


def _change(home: "Home", number: int, **values: object) -> None:
    table = palette_tag_refined
    with home.store.write() as connection:
        row = table.c.id == number
        (batch,) = connection.execute(sa.select(table.c.batch_id).where(row)).scalars()
        connection.execute(sa.update(table).where(row).values(**values))
        announce(connection, "refinements", [batch], home.row(1)["created_at"])


def test_nothing_refined_is_told_in_a_sentence(home: "Home", refresh: Refresh) -> None:
    with pytest.raises(EmptyIndexError, match="grabient-ops refine"):
        open_index(home.lake)
    assert refresh().read == 0
    with pytest.raises(EmptyIndexError, match="grabient-ops refine"):
        open_index(home.lake)


def test_refined_palettes_are_found_with_all_they_have(home: "Home", refresh: Refresh) -> None:
    words = "凉 calm \u202eocean 👩‍👩‍👧 'quoted\""
    home.refine(home.refined(1, words), home.refined(2, "fire"))
    refresh()
    index = open_index(home.lake)
    (hit,) = index.search("凉", WordVectors(), 1)

    assert (hit.seed, hit.embed_text, hit.tags) == (
        "seed-1",
        words,
        {"mood": [words], "dominant_colors": ["blue"]},
    )


def test_failures_and_refinements_without_a_text_are_left_out(
    home: "Home", refresh: Refresh
) -> None:
    home.refine(
        home.refined(1),
        home.refined(2, tags=None, error_class="refused", embed_text=None),
        home.refined(3, embed_text=""),
        home.refined(4, embed_text=None),
    )

    assert refresh().read == 1
    assert list(_texts(home)) == ["seed-1"]


def test_only_changed_batches_are_read_and_only_new_texts_embedded(
    home: "Home", refresh: Refresh, counting: "Counting"
) -> None:
    home.refine(*(home.refined(n, f"text {n}", batch_id=f"b{n % 3}") for n in range(9)))
    assert (refresh().embedded, refresh().read) == (9, 0)
    home.refine(
        home.refined(10, "text 10", batch_id="b1"), home.refined(11, "text 1", batch_id="b1")
    )
    refreshed = refresh()

    assert (refreshed.read, refreshed.embedded) == (5, 1)
    assert counting.texts[9:] == ["text 10"]
    assert _contents(open_index(home.lake)) == _rebuilt(home, counting)


def test_a_palette_that_is_refined_again_is_found_by_the_newest(
    home: "Home", refresh: Refresh
) -> None:
    now = home.row(1)["created_at"]
    again = {"seed": "seed-1", "run_number": 2}
    home.refine(home.refined(1, "first"), home.refined(2, "other"))
    refresh()
    home.refine(home.refined(3, "second", batch_id="z", created_at=now.replace(hour=13), **again))
    refresh()
    assert _texts(home) == {"seed-1": "second", "seed-2": "other"}

    # One that comes late is not the newest.
    again["run_number"] = 3
    home.refine(home.refined(4, "late", batch_id="a", created_at=now.replace(hour=9), **again))
    refresh()
    assert _texts(home) == {"seed-1": "second", "seed-2": "other"}


def test_a_refinement_that_is_parsed_again_replaces_itself(home: "Home", refresh: Refresh) -> None:
    home.refine(home.refined(1, "before"), home.refined(2, "stays"))
    refresh()
    _change(home, 1, embed_text="after")
    refresh()
    assert _texts(home) == {"seed-1": "after", "seed-2": "stays"}

    _change(home, 1, tags=None, embed_text=None, error_class="unparsable")
    refresh()
    assert _texts(home) == {"seed-2": "stays"}


def test_the_last_palette_may_go(home: "Home", refresh: Refresh) -> None:
    home.refine(home.refined(1))
    refresh()
    _change(home, 1, tags=None, embed_text=None, error_class="unparsable")
    refresh()

    with pytest.raises(EmptyIndexError):
        open_index(home.lake)


def test_another_model_is_built_beside_while_the_former_one_answers(
    home: "Home", refresh: Refresh, counting: "Counting", counting_of: "type[Counting]"
) -> None:
    home.refine(*(home.refined(n, f"text {n}") for n in range(5)))
    refresh()
    former = open_index(home.lake)
    other = counting_of("test/2", 24)
    seen: list[tuple[str, list[str]]] = []

    def look() -> None:
        index = open_index(home.lake)
        found = [hit.seed for hit in index.search("text 3", counting, 1)]
        seen.append((index.embedding, found))

    other.before = look
    refreshed = refresh_refined(home.lake, home.url, other)

    assert (refreshed.read, refreshed.embedded) == (5, 5)
    assert seen == [("test/1", ["seed-3"])]
    index = open_index(home.lake)
    assert (index.embedding, index.vectors.shape) == ("test/2", (5, 24))
    # Who still holds the former one goes on, by words alone with the new model.
    assert former.search("text 3", counting, 1)[0].seed == "seed-3"
    assert former.search("text 3", other, 1)[0].seed == "seed-3"


def test_an_embedder_that_fails_leaves_everything_as_it_was(
    home: "Home", refresh: Refresh, counting: "Counting"
) -> None:
    home.refine(home.refined(1, "first"))
    refresh()
    home.refine(home.refined(2, "second", batch_id="z"))

    def fail() -> None:
        raise InputError("no")

    counting.before = fail
    with pytest.raises(InputError):
        refresh()
    assert list(_texts(home)) == ["seed-1"]
    counting.before = lambda: None
    refresh()
    assert list(_texts(home)) == ["seed-1", "seed-2"]


def test_vectors_of_another_length_by_the_same_name_are_refused(
    home: "Home", refresh: Refresh, counting: "Counting"
) -> None:
    home.refine(home.refined(1, "first"))
    refresh()
    home.refine(home.refined(2, "second", batch_id="z"))
    counting.size = 8

    with pytest.raises(ConfigError, match="EMBEDDING_MODEL"):
        refresh()
    assert list(_texts(home)) == ["seed-1"]


@pytest.mark.parametrize("text", ["{", '{"format": 99}', "\udcff"])
def test_a_manifest_that_cannot_be_read_is_made_anew(
    home: "Home", refresh: Refresh, text: str
) -> None:
    home.refine(home.refined(1))
    refresh()
    path = home.lake / "refined" / "manifest.json"
    path.write_bytes(text.encode(errors="surrogateescape"))

    assert refresh().read == 1
    assert list(_texts(home)) == ["seed-1"]


def test_on_sqlite_another_store_behind_the_same_name_is_read_from_the_start(
    sqlite_home: "Home", counting: "Counting"
) -> None:
    home = sqlite_home
    home.refine(home.refined(1))
    refresh_refined(home.lake, home.url, counting)
    with home.store.write() as connection:
        later = {"at": home.row(1)["created_at"].replace(year=2027)}
        connection.execute(sa.update(changes).values(**later))
        connection.execute(sa.update(palette_tag_refined).values(seed="elsewhere"))
    refresh_refined(home.lake, home.url, counting)

    assert list(_texts(home)) == ["elsewhere"]


def test_a_store_that_cannot_be_read_is_told_in_a_sentence(
    home: "Home", counting: "Counting"
) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        refresh_refined(home.lake, f"sqlite:///{home.folder / 'nowhere'}", counting)


def test_two_writers_take_turns(home: "Home", counting: "Counting") -> None:
    with (
        open_refined(home.lake / "refined"),
        pytest.raises(StoreError, match="another process"),
    ):
        refresh_refined(home.lake, home.url, counting, wait_s=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_many_small_refreshes_equal_one_rebuild(
    home: "Home", refresh: Refresh, counting: "Counting", seed: int
) -> None:
    chance = random.Random(seed)
    for step in range(40):
        _do_something(home, chance, step)
        if chance.random() < 0.7:
            refresh()
    refresh()

    assert _contents(open_index(home.lake)) == _rebuilt(home, counting)
    published = read_refined(home.lake / "refined")
    assert published is not None
    assert len(published.parts) < 25


def _do_something(home: "Home", chance: random.Random, step: int) -> None:
    ids = [step * 100 + number for number in range(chance.randrange(1, 8))]
    words = [f"word{chance.randrange(50)} {number}" for number in ids]
    now = home.row(1)["created_at"]
    with home.store.read() as connection:
        there = connection.execute(sa.select(palette_tag_refined.c.id)).scalars().all()
    if there and chance.random() < 0.4:
        _change(home, chance.choice(there), embed_text=words[0])
        return
    rows = [
        home.refined(
            number,
            text,
            seed=f"seed-{chance.randrange(30)}",
            run_number=number,
            batch_id=f"b{chance.randrange(9)}",
            created_at=now.replace(minute=chance.randrange(60)),
        )
        for number, text in zip(ids, words, strict=True)
    ]
    home.refine(*rows)


@pytest.mark.timeout(240)
def test_killed_at_any_instant_the_next_refresh_is_whole(home: "Home") -> None:
    chance = random.Random(2026)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([refresh_refined.__module__])
    killed = 0
    for kill in range(10):
        ids = range(kill * 100, kill * 100 + 40)
        home.refine(*(home.refined(n, f"text {n}", batch_id=f"b{n % 7}") for n in ids))
        process = processes.Process(
            target=refresh_refined, args=(home.lake, home.url, WordVectors())
        )
        process.start()
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL

    assert killed > 2
    refresh_refined(home.lake, home.url, WordVectors())
    files = {path.name for path in (home.lake / "refined").iterdir()}
    published = read_refined(home.lake / "refined")
    assert published is not None
    retired = {file for file, _ in published.retired}
    assert files == {"manifest.json", *published.files(), *retired}
    assert len(_texts(home)) == 400


def test_files_of_former_generations_go_when_their_time_is_over(
    home: "Home", refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.refine(home.refined(1, "first"))
    refresh()
    before = {*(home.lake / "refined").iterdir()}
    _change(home, 1, embed_text="second")
    refresh()
    assert before < {*(home.lake / "refined").iterdir()}

    monkeypatch.setattr(manifest, "GRACE_S", 0.0)
    refresh()
    assert len({*(home.lake / "refined").iterdir()}) == 2


def test_the_console_shows_the_newest_refinements(home: "Home", refresh: Refresh) -> None:
    home.put(home.row(1))
    home.sync()
    query = "SELECT seed, tags->>'$.mood[0]', model, embedding, len(vector) FROM refined ORDER BY 1"
    assert run_query(home.lake, query).rows == []
    home.refine(home.refined(1, "calm"), home.refined(2, "wild"))
    home.refine(home.refined(3, "new", seed="seed-1", run_number=2))
    refresh()

    assert run_query(home.lake, query).rows == [
        ["seed-1", "new", "m/1", "test/1", 16],
        ["seed-2", "wild", "m/1", "test/1", 16],
    ]
    with open_warehouse(home.lake) as warehouse:
        ((tags,),) = warehouse.connection.execute(
            "SELECT tags FROM refined WHERE seed = 'seed-2'"
        ).fetchall()
    assert json.loads(tags)["dominant_colors"] == ["blue"]


def test_neighbours_of_an_unrefined_palette_and_a_blank_query_are_refused(
    home: "Home", refresh: Refresh, counting: "Counting"
) -> None:
    home.refine(home.refined(1))
    refresh()
    index = open_index(home.lake)

    assert index.neighbours("seed-1") == []
    with pytest.raises(InputError, match="no refined palette"):
        index.neighbours("seed-2")
    with pytest.raises(InputError, match="nothing to search for"):
        index.search(" \n", counting)
