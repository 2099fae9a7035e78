import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from benchmarks.arena import Sandbox
from grabient_ops.store.changes import announce
from grabient_ops.store.tables import palette_tag_refined

if TYPE_CHECKING:
    from tests.cli.conftest import Ops, Shelf

_TEXTS = {
    "sea": ("blue", "calm", "ocean waves and islands"),
    "wood": ("brown", "cozy", "autumn forest and fallen leaves"),
    "town": ("pink", "electric", "neon night city"),
}


def _refine(shelf: "Shelf", *seeds: str) -> None:
    rows = []
    for seed in seeds:
        color, mood, scene = _TEXTS[seed]
        tags: dict[str, Any] = {"dominant_colors": [color], "mood": [mood], "associations": [scene]}
        rows.append(
            {"seed": seed, "provider": "anthropic", "model": "m", "run_number": 1,
             "prompt_version": "r", "attempt": 1, "batch_id": "batch", "tags": tags,
             "excused": False, "input_tokens": 1, "output_tokens": 1, "cached_tokens": 0,
             "reasoning_tokens": 0, "created_at": shelf.now, "source_prompt_versions": ["p"],
             "input": "", "embed_text": f"{color} {mood} {scene}"}
        )  # fmt: skip
    with shelf.store.write() as connection:
        connection.execute(sa.insert(palette_tag_refined), rows)
        announce(connection, "refinements", ["batch"], shelf.now)


def test_nothing_refined_is_told_in_one_line(ops: "Ops") -> None:
    ran = ops("search", "ocean")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: no refined palettes yet; `grabient-ops refine` makes some\n"


def test_the_closest_palettes_come_first_as_json(ops: "Ops", shelf: "Shelf") -> None:
    _refine(shelf, *_TEXTS)
    hits = ops("search", "the sea", "--limit", "2", "--json").json()

    assert [list(hit) for hit in hits] == [["seed", "score", "tags", "embed_text"]] * 2
    assert hits[0]["seed"] == "sea"
    assert hits[0]["tags"]["dominant_colors"] == ["blue"]
    assert hits[0]["embed_text"] == "blue calm ocean waves and islands"
    assert hits[0]["score"] > hits[1]["score"]


def test_people_see_each_palette_on_two_lines(ops: "Ops", shelf: "Shelf") -> None:
    _refine(shelf, *_TEXTS)
    first, second, *others = ops("search", "woods in october").out.splitlines()

    assert first.split()[1] == "wood"
    assert second.strip() == "brown; cozy; autumn forest and fallen leaves"
    assert len(others) == 4


def test_what_was_refined_since_is_found(ops: "Ops", shelf: "Shelf") -> None:
    _refine(shelf, "sea")
    assert len(ops("search", "city", "--json").json()) == 1
    _refine(shelf, "town")

    assert ops("search", "city", "--json").json()[0]["seed"] == "town"


@pytest.mark.parametrize(("text", "limit", "code"), [(" ", "1", 1), ("x", "0", 2), ("x", "a", 2)])
def test_nonsense_is_refused(ops: "Ops", shelf: "Shelf", text: str, limit: str, code: int) -> None:
    _refine(shelf, "sea")

    assert ops("search", text, "--limit", limit).code == code


def test_an_embeddings_api_can_be_asked_instead(
    ops: "Ops", shelf: "Shelf", shared_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refine(shelf, *_TEXTS)
    assert ops("search", "leaves").code == 0
    monkeypatch.setenv("GRABIENT_OPS_EMBEDDING_URL", f"{shared_sandbox.url}/v1")
    monkeypatch.setenv("GRABIENT_OPS_EMBEDDING_API_KEY", "sandbox")
    assert ops("search", "fallen leaves", "--json").json()[0]["seed"] == "wood"
    assert ops("analytics", "sync").code == 0
    sql = "SELECT DISTINCT embedding, len(vector) FROM refined"

    assert ops("analytics", "sql", sql, "--json").json()["rows"] == [["text-embedding-3-small", 64]]


def test_an_embeddings_api_that_fails_is_named(
    ops: "Ops", shelf: "Shelf", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grabient_ops.providers.embeddings._RETRIES", 0)
    _refine(shelf, *_TEXTS)
    assert ops("search", "leaves").code == 0
    monkeypatch.setenv("GRABIENT_OPS_EMBEDDING_URL", "http://127.0.0.1:1/v1")
    ran = ops("search", "fallen leaves", "--json")

    # All is embedded with the new model before the old vectors go: words alone have to do.
    assert "refined palettes are as they were before: embeddings:" in ran.err
    assert ran.json()[0]["seed"] == "wood"


@pytest.mark.parametrize("key", ["secret\n", "s\u00e9cret"])
def test_a_key_that_no_header_can_hold_is_not_shown(
    ops: "Ops", shelf: "Shelf", monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    _refine(shelf, "sea")
    assert ops("search", "night").code == 0
    monkeypatch.setenv("GRABIENT_OPS_EMBEDDING_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("GRABIENT_OPS_EMBEDDING_API_KEY", key)
    said = ops("search", "night").err

    assert "GRABIENT_OPS_EMBEDDING_API_KEY holds a character that no key has" in said
    assert "cret" not in said


def test_what_a_model_wrote_cannot_steer_the_terminal(
    ops: "Ops", shelf: "Shelf", home: Path
) -> None:
    _refine(shelf, "sea")
    with shelf.store.write() as connection:
        hostile = json.loads('{"mood": ["\\u001b[2J"], "dominant_colors": null}')
        connection.execute(sa.update(palette_tag_refined).values(tags=hostile))
        announce(connection, "refinements", ["batch"], shelf.now)

    assert home.exists()
    assert "\x1b" not in ops("search", "ocean").out
