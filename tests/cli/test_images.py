import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grabient_ops.palettes.invented import invented_seeds

if TYPE_CHECKING:
    from tests.cli.conftest import Ops, Shelf

SEEDS = invented_seeds(5)


@pytest.fixture(autouse=True)
def _no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("R2_BUCKET", "R2_ENDPOINT", "R2_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)


def test_pictures_are_made_once_into_the_home(ops: "Ops", shelf: "Shelf", home: Path) -> None:
    shelf.plan(*SEEDS)

    first = ops("images", "generate", "--json")
    second = ops("images", "generate")

    assert first.json() == {
        "made": 5, "already_there": 0, "left": 0, "failed": [], "place": str(home / "pictures"),
    }  # fmt: skip
    assert second.out == f"0 made, 5 already there: {home / 'pictures'}\n"
    assert {path.stem for path in (home / "pictures" / "palettes").iterdir()} == set(SEEDS)
    listed = ops("palettes", "list", "--json").json()
    assert {row["image_key"] for row in listed} == {f"palettes/{seed}.png" for seed in SEEDS}


def test_a_limit_says_what_is_left(ops: "Ops", shelf: "Shelf") -> None:
    shelf.plan(*SEEDS)

    assert ops("images", "generate", "--limit", "2").out.startswith(
        "2 made, 0 already there, 3 left"
    )
    assert ops("images", "generate", "--limit", "0").code == 2


def test_without_palettes_nothing_is_made(ops: "Ops") -> None:
    assert ops("images", "generate", "--json").json()["made"] == 0


def test_what_cannot_be_drawn_fails_the_command_after_its_report(
    ops: "Ops", shelf: "Shelf"
) -> None:
    shelf.plan(*SEEDS, "../\x1b[2Jup")

    ran = ops("images", "generate")
    again = ops("images", "generate", "--json")

    assert ran.code == again.code == 1
    assert "\x1b" not in ran.err
    assert ran.out.startswith("5 made")
    assert ran.err.splitlines()[-1] == "error: 1 pictures could not be drawn"
    assert [failure["seed"] for failure in json.loads(again.out)["failed"]] == ["../\x1b[2Jup"]


def test_a_bucket_that_cannot_be_reached_is_one_sentence(
    ops: "Ops", shelf: "Shelf", monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.plan(*SEEDS)
    monkeypatch.setenv("R2_BUCKET", "colours")
    monkeypatch.setenv("R2_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("R2_ACCESS_KEY_ID", "name")
    monkeypatch.setenv("R2_SECRET_ACCESS_KEY", "key-of-the-house")

    ran = ops("images", "generate", "--json")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "error: pictures cannot be kept in the bucket colours: it cannot be reached\n"
    )


def test_a_bucket_without_keys_names_the_variable(
    ops: "Ops", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R2_BUCKET", "colours")
    monkeypatch.setenv("R2_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("R2_ACCESS_KEY_ID", raising=False)

    ran = ops("images", "generate")

    assert (ran.code, ran.out) == (1, "")
    assert "R2_ACCESS_KEY_ID" in ran.err


def test_a_demo_never_uses_the_bucket(
    ops: "Ops", shelf: "Shelf", home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grabient_ops.app import DEMO_NOTE
    from grabient_ops.store.notes import set_note

    shelf.plan(*SEEDS)
    with shelf.store.write() as connection:
        set_note(connection, DEMO_NOTE, "1")
    monkeypatch.setenv("R2_BUCKET", "colours")
    monkeypatch.setenv("R2_ENDPOINT", "http://127.0.0.1:9")

    assert ops("images", "generate", "--json").json()["place"] == str(home / "pictures")
