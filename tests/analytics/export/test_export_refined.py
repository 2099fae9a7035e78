"""The refined palettes travel with the lake: whole, only what is new, readable there as at home."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grabient_ops.analytics.export import Export, ExportError, export
from grabient_ops.analytics.refined import REFINED, read_refined
from grabient_ops.analytics.search.embedding import WordVectors
from grabient_ops.analytics.search.index import open_index
from grabient_ops.analytics.search.refresh import refresh_refined
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.settings import Settings
from tests.analytics.conftest import Home
from tests.analytics.export.conftest import Bucket

Refine = Callable[..., None]
_QUERY = """SELECT seed, tags->>'$.mood[0]', embed_text, input_tokens, cost, source, len(vector)
FROM refined ORDER BY seed"""


@pytest.fixture
def refine(home: Home) -> Refine:
    """Refines some palettes, by their numbers, and publishes that."""
    words = WordVectors()
    home.put(home.row(1))
    home.sync()

    def refine(*numbers: int, **values: object) -> None:
        home.refine(*(home.refined(n, f"calm {n}", cost=n * 10**9, **values) for n in numbers))
        refresh_refined(home.lake, home.url, words)

    return refine


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _rows(lake: Path) -> list[tuple[Any, ...]]:
    with open_warehouse(lake) as warehouse:
        return warehouse.connection.execute(_QUERY).fetchall()


def _files(lake: Path) -> set[str]:
    manifest = read_refined(lake / REFINED)
    assert manifest
    return set(manifest.files())


def test_tags_texts_and_costs_are_read_there_as_at_home(
    home: Home, refine: Refine, tmp_path: Path
) -> None:
    refine(1, 2)
    target = tmp_path / "target"
    done = export(home.lake, str(target), Settings())

    assert done.refined == 1
    assert _rows(target) == [
        ("seed-1", "calm 1", "calm 1", 700, 10**9, "own", 256),
        ("seed-2", "calm 2", "calm 2", 700, 2 * 10**9, "own", 256),
    ]
    assert _names(target / REFINED) == _files(home.lake) | {"manifest.json"}
    (hit,) = open_index(target).search("calm", WordVectors(), 1)
    assert hit.embed_text in {"calm 1", "calm 2"}


def test_only_what_is_new_travels_and_what_is_old_goes(
    home: Home, refine: Refine, tmp_path: Path
) -> None:
    target = str(tmp_path / "target")
    refine(1, 2)
    first = export(home.lake, target, Settings())
    before = _files(home.lake)
    refine(3, batch_id="other")
    more = export(home.lake, target, Settings())
    same = export(home.lake, target, Settings())

    new = _files(home.lake) - before
    assert (more.copied, more.kept, more.removed) == (len(new), first.copied, 0)
    assert more.bytes == sum((home.lake / REFINED / name).stat().st_size for name in new)
    assert same == Export(1, 0, more.copied + more.kept, 0, 0, refined=2)
    (home.lake / REFINED / "manifest.json").unlink()
    refine(4)
    again = export(home.lake, target, Settings())
    assert again.removed == len(before | new)
    assert len(_rows(Path(target))) == 4


def test_a_bucket_gets_the_manifest_after_the_files(
    home: Home, refine: Refine, bucket: type[Bucket], r2: Settings
) -> None:
    refine(1, 2)
    export(home.lake, "s3://lakes/a b/凉/", r2)

    prefix = f"a b/凉/{REFINED}/"
    puts = [key.removeprefix(prefix) for key in bucket.writes if key.startswith(prefix)]
    assert {*puts[:-1]} == _files(home.lake)
    assert puts[-1] == "manifest.json"
    assert export(home.lake, "s3://lakes/a b/凉", r2).copied == 0


def test_a_refined_file_that_vanishes_leaves_the_former_generation(
    home: Home, refine: Refine, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    refine(1)
    export(home.lake, str(target), Settings())
    refine(2, batch_id="other")
    (home.lake / REFINED / max(_files(home.lake) - _names(target / REFINED))).unlink()

    with pytest.raises(ExportError, match="run it again"):
        export(home.lake, str(target), Settings())
    assert [row[0] for row in _rows(target)] == ["seed-1"]
