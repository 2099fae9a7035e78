"""What is counted in advance says the same as the facts, whatever happens to the lake."""

import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from grabient_ops.analytics import compaction, staging, tallies
from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.manifest import Manifest, read_manifest
from grabient_ops.analytics.questions import consensus as question
from grabient_ops.analytics.questions.asking import EVERYTHING, Selection
from grabient_ops.analytics.questions.consensus import (
    PaletteTag,
    all_consensus,
    write_consensus,
)
from grabient_ops.analytics.warehouse import Warehouse, open_warehouse

PALETTES = 20


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (staging, compaction, tallies):
        monkeypatch.setattr(module, "ROWS_PER_SEGMENT", 60)
    monkeypatch.setattr(tallies, "_SETTLED", 15)


def _answers(batch: str, ids: Iterable[int], word: str = "calm") -> list[Answer]:
    """Each about one of the palettes, some of them failed."""
    return [
        Answer(
            n, f"seed-{n % PALETTES}", "groq", f"m{n // PALETTES % 3}", n // 60, "p", 1, batch,
            f'{{"mood": ["{word}", "tag {n % 4}"], "contrast": "凉"}}',
            error_class="refused" if n % 11 == 0 else None,
        )
        for n in ids
    ]  # fmt: skip


def _publish(lake: Path, answers: Iterable[Answer] = (), forget: Collection[str] = ()) -> Manifest:
    with open_lake(lake) as writer:
        if forget:
            writer.forget(forget)
        if rows := list(answers):
            writer.add(rows)
        return writer.publish()


def _counted(lake: Path, selection: Selection = EVERYTHING) -> list[PaletteTag]:
    """Ask with and without what was counted in advance; both must say the same."""
    with open_warehouse(lake) as warehouse:
        found = list(all_consensus(warehouse, selection))
        assert found == list(all_consensus(replace(warehouse, tallied=False), selection))
        assert _in_file(warehouse, lake.parent / "all.parquet", selection) == sorted(found)
    return found


def _in_file(warehouse: Warehouse, path: Path, selection: Selection) -> list[PaletteTag]:
    write_consensus(warehouse, path, selection)
    return sorted(PaletteTag(*row) for row in duckdb.read_parquet(str(path)).fetchall())


def _moving(lake: Path) -> list[str]:
    with open_warehouse(lake) as warehouse:
        query = "SELECT seed FROM moving JOIN palettes USING (palette_id) ORDER BY seed"
        return [seed for (seed,) in warehouse.connection.execute(query).fetchall()]


def _published(lake: Path) -> Manifest:
    manifest = read_manifest(lake)
    assert manifest is not None
    return manifest


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of 200 answers in two batches, just made."""
    lake = tmp_path / "lake"
    _publish(lake, [*_answers("a", range(100)), *_answers("b", range(100, 200))])
    return lake


def test_a_new_lake_is_counted_whole(lake: Path) -> None:
    (tally,) = _published(lake).tallies

    assert tally.is_complete
    assert len(tally.files) > 1
    assert _moving(lake) == []


def test_a_small_lake_is_not_counted_in_advance(tmp_path: Path) -> None:
    _publish(tmp_path / "lake", _answers("a", range(10)))

    assert _published(tmp_path / "lake").tallies == []
    assert len(_counted(tmp_path / "lake")) == 27


def test_only_palettes_with_news_are_counted_again(lake: Path) -> None:
    _publish(lake, _answers("c", [203, 207], word="new"))

    assert _moving(lake) == ["seed-3", "seed-7"]
    new = [(row.seed, row.votes) for row in _counted(lake) if row.tag == "new"]
    assert new == [("seed-3", 1), ("seed-7", 1)]


def test_what_was_replaced_or_removed_is_counted_again(lake: Path) -> None:
    _publish(lake, _answers("a", range(100), word="other"), forget=["a"])
    words = {row.tag: row.votes for row in _counted(lake) if row.seed == "seed-1"}
    assert (words["other"], words["calm"]) == (5, 4)  # the 121st answer has failed

    _publish(lake, forget=["b"])
    assert {row.tag for row in _counted(lake)} == {"other", "凉", *(f"tag {n}" for n in range(4))}


def test_a_palette_of_which_nothing_is_left_has_no_consensus(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    rest = [answer for answer in _answers("rest", range(100)) if answer.seed != "seed-1"]
    _publish(lake, [*rest, *_answers("gone", range(1, 100, PALETTES))])
    _publish(lake, forget=["gone"])

    assert _moving(lake) == ["seed-1"]
    assert "seed-1" not in {row.seed for row in _counted(lake)}


def test_part_of_the_answers_is_counted_from_their_facts(lake: Path) -> None:
    everything = _counted(lake)

    some = _counted(lake, Selection(models=["m1"]))

    assert sum(row.votes for row in some) < sum(row.votes for row in everything)
    assert {row.models for row in some} == {1}


def test_tags_below_the_least_share_are_left_out_of_both_parts(lake: Path) -> None:
    _publish(lake, _answers("c", [203], word="new"))
    with open_warehouse(lake) as warehouse:
        every, strong = (list(all_consensus(warehouse, min_share=share)) for share in (0, 0.9))
        written = write_consensus(warehouse, lake.parent / "all.csv", min_share=0.9)

    assert strong == [row for row in every if row.share >= 0.9]
    assert written == len(strong) < len(every)


def test_more_tags_than_an_enum_should_have_are_written_all_the_same(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question, "_MOST_LISTED", 2)

    assert _counted(lake)


def test_a_lake_that_grows_is_counted_anew_by_and_by(lake: Path) -> None:
    first = _published(lake).tally
    _publish(lake, _answers("c", range(200, 260)))
    steps = 0
    while tallies.is_due(_published(lake)):
        assert _published(lake).tally == first
        _counted(lake)
        _publish(lake)
        steps += 1

    (tally,) = _published(lake).tallies
    assert steps == len(tally.files) - 1 > 1
    assert len(tally.segments) == len(_published(lake).segments)
    assert _moving(lake) == []
    assert _publish(lake) == _published(lake)


def test_a_tally_whose_segments_were_written_anew_is_dropped(lake: Path) -> None:
    segment = _published(lake).segments[0]
    _publish(lake, forget=["a", "b"])
    assert segment.facts not in {s.facts for s in _published(lake).segments}

    assert _published(lake).tally is None
    assert _counted(lake) == []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_both_ways_of_counting_agree(tmp_path: Path, seed: int) -> None:
    lake = tmp_path / "lake"
    tallied = []
    for answers, forgotten in _happenings(random.Random(seed)):
        _publish(lake, answers, forgotten)
        with open_warehouse(lake) as warehouse:
            from_facts = replace(warehouse, tallied=False)
            assert list(all_consensus(warehouse)) == list(all_consensus(from_facts))
            tallied.append(warehouse.tallied)

    assert any(tallied)


def _happenings(chance: random.Random) -> Iterator[tuple[list[Answer], list[str]]]:
    """Yield what comes and goes: batches that are new, replaced or removed, and nothing at all."""
    yield [row for n in range(8) for row in _answers(f"b{n}", range(40 * n, 40 * n + 40))], []
    for step in range(1, 12):
        ids = range(1000 * step, 1000 * step + chance.choice([0, 1, 5, 30, 90]))
        forgotten = [f"b{chance.randrange(12)}"] if chance.random() < 0.4 else []
        yield _answers(f"b{8 + chance.randrange(4)}", ids, chance.choice("xyz")), forgotten
