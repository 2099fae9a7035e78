"""Answers of other systems beside our own: kept apart, and counted as one model's."""

import json
from typing import TYPE_CHECKING

import pytest

from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.tags import top_tags
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.errors import InputError

if TYPE_CHECKING:
    from tests.analytics.conftest import Home


def test_a_model_of_two_sources_is_one_model_and_each_answer_tells_its_source(
    home: "Home",
) -> None:
    home.put(
        home.row(1, source="own"),
        home.row(2, source="convex"),
        home.row(3, source="d1", model="m/2"),
    )
    home.sync()

    with open_warehouse(home.lake) as warehouse:
        (calm,) = top_tags(warehouse)
        rows = warehouse.connection.execute(
            "SELECT seed, model, source FROM votes ORDER BY seed"
        ).fetchall()

    assert (calm.votes, calm.palettes, calm.models) == (3, 3, 2)
    assert rows == [
        ("seed-1", "m/1", "own"), ("seed-2", "m/1", "convex"), ("seed-3", "m/2", "d1"),
    ]  # fmt: skip


def test_answers_of_some_sources_can_be_chosen(home: "Home") -> None:
    home.put(
        home.row(1, source="own"),
        home.row(2, source="convex"),
        home.row(3, source="d1", model="m/2"),
    )
    home.sync()

    with open_warehouse(home.lake) as warehouse:
        votes = {
            sources: [tag.votes for tag in top_tags(warehouse, Selection(sources=sources))]
            for sources in (("own",), ("convex", "d1"), ())
        }
        with pytest.raises(InputError, match="no answer is by 'm/2'"):
            top_tags(warehouse, Selection(models=["m/2"], sources=["own"]))
    assert votes == {("own",): [1], ("convex", "d1"): [2], (): [3]}


def test_a_lake_of_a_release_that_knew_no_sources_is_made_anew(home: "Home") -> None:
    home.put(home.row(1))
    home.sync()
    path = home.lake / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))

    assert home.sync().batches is None
    assert home.contents() == home.rebuilt()
