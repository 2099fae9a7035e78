from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from grabient_ops.images.objects import PictureError, PictureStore, open_folder, open_pictures
from grabient_ops.images.render import render_pngs
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.pipeline.images import generate
from grabient_ops.settings import Settings
from grabient_ops.store.changes import since
from grabient_ops.store.engine import Store
from grabient_ops.store.palettes import NewPalette, add_palettes, list_palettes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images.conftest import Bucket

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def add(store: Store, seeds: Sequence[str]) -> None:
    with store.write() as connection:
        rows = [NewPalette(seed, "aligned", seed, "test") for seed in seeds]
        add_palettes(connection, rows, NOW)


def noted(store: Store) -> dict[str, str]:
    with store.read() as connection:
        found = list_palettes(connection)
    return {palette.seed: palette.image_key for palette in found if palette.image_key}


def test_every_palette_gets_its_picture_and_its_key(store: Store, pictures: PictureStore) -> None:
    seeds = invented_seeds(20)
    add(store, seeds)

    done = generate(store, pictures)

    assert (done.made, done.already_there, done.left, done.failed) == (20, 0, 0, {})
    assert [pictures.get(seed) for seed in seeds] == render_pngs(seeds)
    assert noted(store) == {seed: f"palettes/{seed}.png" for seed in seeds}


def test_a_second_call_makes_and_writes_nothing(
    store: Store, in_bucket: PictureStore, bucket: "Bucket"
) -> None:
    add(store, invented_seeds(20))
    generate(store, in_bucket)
    with store.read() as connection:
        before = since(connection, 0)

    done = generate(store, in_bucket)

    assert (done.made, done.already_there) == (0, 20)
    assert len(bucket.puts) == 20
    with store.read() as connection:
        assert since(connection, 0) == before


def test_new_keys_are_announced(store: Store, pictures: PictureStore) -> None:
    add(store, invented_seeds(3))
    with store.read() as connection:
        seq = since(connection, 0)[-1].seq

    generate(store, pictures)

    with store.read() as connection:
        assert [(change.topic, change.key) for change in since(connection, seq)] == [
            ("palettes", "*")
        ]


def test_a_limit_leaves_the_rest_for_later(store: Store, pictures: PictureStore) -> None:
    seeds = invented_seeds(10)
    add(store, seeds)

    first = generate(store, pictures, limit=4)
    second = generate(store, pictures, limit=100)

    assert (first.made, first.already_there, first.left) == (4, 0, 6)
    assert (second.made, second.already_there, second.left) == (6, 4, 0)
    assert len(noted(store)) == 10


def test_only_chosen_palettes_that_are_stored_get_one(store: Store, pictures: PictureStore) -> None:
    first, second, third, unknown = invented_seeds(4)
    add(store, [first, second, third])

    done = generate(store, pictures, seeds=[third, first, unknown, third])

    assert done.made == 2
    assert set(noted(store)) == {first, third}
    assert pictures.missing([first, second, third, unknown]) == [second, unknown]


def test_progress_is_told_up_to_the_end(store: Store, pictures: PictureStore) -> None:
    add(store, invented_seeds(600))
    told: list[tuple[int, int]] = []

    generate(store, pictures, on_progress=lambda done, total: told.append((done, total)))

    assert told == [(250, 600), (500, 600), (600, 600)]


def test_an_outage_keeps_what_was_made_and_the_next_call_goes_on(
    store: Store, in_bucket: PictureStore, bucket: "Bucket"
) -> None:
    add(store, invented_seeds(600))
    bucket.refuse_after = 300

    with pytest.raises(PictureError):
        generate(store, in_bucket)
    after_the_outage = noted(store)
    bucket.refuse_after = None
    done = generate(store, in_bucket)

    # Of the second block 50 were kept, but no answer said so for all: they are found again.
    assert len(after_the_outage) == 250
    assert {*after_the_outage.values()} <= {*bucket.puts}
    assert (done.made, done.already_there) == (300, 300)
    assert len(bucket.puts) == len(set(bucket.puts)) == 600
    assert len(noted(store)) == 600


def test_pictures_that_are_there_are_only_noted(
    store: Store, in_bucket: PictureStore, bucket: "Bucket"
) -> None:
    seeds = invented_seeds(10)
    add(store, seeds)
    in_bucket.put(dict.fromkeys(seeds[:6], b"a picture of the first system"))
    bucket.puts.clear()

    done = generate(store, in_bucket)

    assert (done.made, done.already_there) == (4, 6)
    assert len(bucket.puts) == 4
    assert len(noted(store)) == 10


def test_lost_pictures_are_made_again(store: Store, home: "Path") -> None:
    pictures = open_folder(home)
    seeds = invented_seeds(3)
    add(store, seeds)
    generate(store, pictures)
    (home / "pictures" / pictures.key_of(seeds[1])).unlink()

    assert generate(store, pictures).made == 1
    assert pictures.missing(seeds) == []


def test_another_place_gets_pictures_of_its_own(
    store: Store, home: "Path", r2: dict[str, str], bucket: "Bucket"
) -> None:
    assert r2
    add(store, invented_seeds(5))
    generate(store, open_folder(home))

    done = generate(store, open_pictures(Settings()))

    assert done.made == len(bucket.objects) == 5


def test_a_text_that_means_no_palette_is_reported_and_the_rest_is_made(
    store: Store, pictures: PictureStore
) -> None:
    good = invented_seeds(5)
    add(store, [*good[:3], "../../up", "a" * 20, *good[3:]])

    done = generate(store, pictures)

    assert done.made == 5
    assert set(done.failed) == {"../../up", "a" * 20}
    assert all(reason.endswith(".") for reason in done.failed.values())
    assert set(noted(store)) == set(good)
