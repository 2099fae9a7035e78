import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.analytics import manifest, staging
from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.compaction import choose
from grabient_ops.analytics.dictionary import bucket_of
from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.manifest import (
    Manifest,
    among,
    count,
    from_ranges,
    read_manifest,
    to_ranges,
)
from grabient_ops.analytics.warehouse import open_warehouse, view_statements
from grabient_ops.errors import StoreError


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Where a lake may be."""
    return tmp_path / "it's a lake" / "lake"


def _answer(number: int, batch: str, word: str = "calm") -> Answer:
    cell = f'{{"mood": ["{word}", "凉"]}}'
    return Answer(number, f"seed-{number % 7}", "groq", "m", 1, "p", 1, batch, cell)


def _publish(lake: Path, *answers: Answer, forget: tuple[str, ...] = ()) -> Manifest:
    with open_lake(lake) as writer:
        if forget:
            writer.forget(forget)
        writer.add(answers)
        return writer.publish()


def _published(lake: Path) -> Manifest:
    manifest = read_manifest(lake)
    assert manifest is not None
    return manifest


def _rows(lake: Path, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(lake) as warehouse:
        return warehouse.connection.execute(query).fetchall()


def _files(lake: Path) -> set[str]:
    return {path.name for path in lake.iterdir()}


def test_what_was_published_is_read_by_the_views(lake: Path) -> None:
    manifest = _publish(lake, _answer(1, "a", "Calm"), _answer(2, "a"))

    assert _rows(lake, "SELECT response_id, tag, given, position FROM votes ORDER BY ALL") == [
        (1, "calm", "Calm", 1),
        (1, "凉", "凉", 2),
        (2, "calm", "calm", 1),
        (2, "凉", "凉", 2),
    ]
    assert _rows(lake, "SELECT seed, bucket FROM palettes ORDER BY 1") == [
        ("seed-1", bucket_of("seed-1")),
        ("seed-2", bucket_of("seed-2")),
    ]
    assert _rows(lake, "SELECT generation FROM lake_info") == [(manifest.generation,)]


def test_a_spelling_is_kept_only_where_it_is_not_the_tag(lake: Path) -> None:
    _publish(lake, _answer(1, "a", "Calm"), _answer(2, "a"))

    given = "SELECT given FROM facts WHERE position = 1 ORDER BY response_id"
    assert _rows(lake, given) == [("Calm",), (None,)]


def test_the_statements_make_the_same_views_elsewhere(lake: Path) -> None:
    _publish(lake, _answer(1, "a"))
    with duckdb.connect() as connection:
        for statement in view_statements(lake):
            connection.execute(statement)
        assert connection.execute("SELECT count(*) FROM votes").fetchall() == [(2,)]


def test_a_batch_is_replaced_whole(lake: Path) -> None:
    _publish(lake, _answer(1, "a"), _answer(2, "a"), _answer(3, "b"))
    _publish(lake, _answer(1, "a", "new"), forget=("a", "never seen"))

    votes = "SELECT response_id, tag FROM votes WHERE tag <> '凉' ORDER BY ALL"
    assert _rows(lake, votes) == [(1, "new"), (3, "calm")]
    assert _rows(lake, "SELECT response_id FROM responses ORDER BY 1") == [(1,), (3,)]


def test_ids_stay_the_same_over_generations(lake: Path) -> None:
    _publish(lake, _answer(1, "a", "x"), _answer(2, "b", "y"))
    before = _rows(lake, "FROM tags ORDER BY ALL"), _rows(lake, "FROM palettes ORDER BY ALL")
    _publish(lake, _answer(3, "c", "z"), forget=("a", "b"))
    after = _rows(lake, "FROM tags ORDER BY ALL"), _rows(lake, "FROM palettes ORDER BY ALL")

    assert after[0][: len(before[0])] == before[0]
    assert after[1][: len(before[1])] == before[1]
    assert len({number for number, _ in after[0]}) == len(after[0]) == 4


def test_files_stay_few_and_say_the_same(lake: Path) -> None:
    for number in range(30):
        _publish(lake, _answer(number, f"b{number}", f"w{number}"))

    manifest = _published(lake)
    assert len(manifest.segments) < 14
    assert all(len(parts) < 14 for parts in manifest.dictionaries.values())
    expected = [(number, f"w{number}") for number in range(30)]
    votes = "SELECT response_id, tag FROM votes WHERE position = 1 ORDER BY ALL"
    assert _rows(lake, votes) == expected


def test_a_segment_whose_rows_were_all_replaced_is_dropped(lake: Path) -> None:
    for _ in range(5):
        _publish(lake, *(_answer(number, "a") for number in range(50)), forget=("a",))

    assert [segment.rows for segment in _published(lake).segments] == [50]


def test_a_segment_that_is_mostly_dead_is_written_anew(lake: Path) -> None:
    _publish(lake, *(_answer(number, f"b{number}") for number in range(50)))
    manifest = _publish(lake, forget=tuple(f"b{number}" for number in range(30)))

    (segment,) = manifest.segments
    assert (segment.rows, count(segment.batches), segment.dead) == (20, 20, [])
    assert _rows(lake, "SELECT count(*), min(response_id) FROM responses") == [(20, 30)]


def test_many_answers_are_cut_into_segments(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "ROWS_PER_SEGMENT", 10_000)
    _publish(lake, *(_answer(number, f"b{number // 1000}") for number in range(20_500)))
    manifest = _publish(lake, forget=("b9",))

    # Pages are 10,000 rows, so the third segment has the rest.
    assert [segment.rows for segment in manifest.segments] == [10_000, 10_000, 500]
    query = "SELECT count(*), count(DISTINCT response_id) FROM facts WHERE position = 1"
    assert _rows(lake, query) == [(19_500, 19_500)]


def test_a_reader_keeps_its_generation_while_the_next_ones_come(lake: Path) -> None:
    _publish(lake, _answer(1, "a"))
    with open_warehouse(lake) as warehouse:
        for number in range(20):
            _publish(lake, _answer(number, "a", f"w{number}"), forget=("a",))

        assert warehouse.connection.execute("SELECT tag FROM votes ORDER BY 1").fetchall() == [
            ("calm",),
            ("凉",),
        ]


def test_files_of_former_generations_go_when_their_time_is_over(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish(lake, _answer(1, "a"))
    before = _files(lake)
    _publish(lake, _answer(1, "a", "new"), forget=("a",))
    assert before <= _files(lake)

    monkeypatch.setattr(manifest, "GRACE_S", 0.0)
    with open_lake(lake):
        pass
    assert _files(lake) == {"manifest.json", *_published(lake).files()}


def test_leftovers_of_a_writer_that_was_killed_are_swept(lake: Path) -> None:
    _publish(lake, _answer(1, "a"))
    before = _files(lake)
    (lake / "facts-0-000002-abcdef.parquet").write_bytes(b"half")
    (lake / "manifest.json.new").write_bytes(b"{")
    with open_lake(lake):
        pass

    assert _files(lake) == before


def test_what_was_not_published_is_not_seen(lake: Path) -> None:
    _publish(lake, _answer(1, "a"))
    with open_lake(lake) as writer:
        writer.forget(["a"])
        writer.add([_answer(2, "b")])

    assert _rows(lake, "SELECT response_id FROM responses") == [(1,)]


def test_writers_take_turns(lake: Path) -> None:
    _publish(lake, _answer(1, "a"))
    with (
        open_lake(lake),
        pytest.raises(StoreError, match="another process"),
        open_lake(lake, wait_s=0.05),
    ):
        pytest.fail("two writers at once")


def test_the_lock_lies_beside_the_lake(lake: Path) -> None:
    _publish(lake, _answer(1, "a"))
    with (lake.parent / "lake.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(StoreError), open_lake(lake, wait_s=0):
            pytest.fail("the lock was ignored")


def test_a_lake_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match="cannot be read or written"),
        open_lake(tmp_path / "file" / "lake"),
    ):
        pytest.fail("a file is no folder")


@pytest.fixture
def _narrow_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_narrow_umask")
def test_a_new_lake_is_for_its_owner_only(lake: Path) -> None:
    _publish(lake, _answer(1, "a"))

    assert lake.stat().st_mode & 0o077 == 0


@given(st.sets(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_ranges_hold_the_numbers_they_were_made_of(numbers: set[int], asked: list[int]) -> None:
    ranges = to_ranges(numbers)

    assert set(from_ranges(ranges)) == numbers
    assert count(ranges) == len(numbers)
    assert among(ranges, asked) == [number for number in asked if number in numbers]


@given(st.lists(st.integers(1, 5000), max_size=300))
def test_merging_ends_with_few_files_and_bounded_ones(news: list[int]) -> None:
    most = 20_000
    sizes: list[int] = []
    for size in news:
        sizes.append(size)
        chosen = choose(sizes, most)
        merged = sum(sizes[index] for index in chosen)
        assert merged <= most
        if chosen:
            sizes = [s for index, s in enumerate(sizes) if index not in chosen] + [merged]

    assert sum(sizes) == sum(news)
    assert len(sizes) <= 7 * 5 + sum(news) * 8 // most
