from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from grabient_ops.providers.catalog import load_catalog

if TYPE_CHECKING:
    from tests.cli.conftest import Ops


def test_json_lists_every_model_with_state_and_prices(ops: "Ops") -> None:
    rows = ops("models", "list", "--json").json()

    assert len(rows) == len(load_catalog().models)
    assert sum(row["default"] for row in rows) == 10
    for row in rows:
        assert {"provider", "model", "status", "prices_as_of", "structured_output"} <= set(row)
        prices = [row[name] for name in row if name.endswith("_usd")]
        assert len(prices) == 6
        assert all(price is None or price >= 0 for price in prices)
        if row["status"] == "active":
            assert "retires_on" not in row
        else:
            assert date.fromisoformat(row["retires_on"]) > date(2020, 1, 1)


def test_people_see_retired_models_only_when_they_ask(ops: "Ops") -> None:
    assert "claude-3-5-haiku-20241022" not in ops("models", "list").out
    assert "claude-3-5-haiku-20241022" in ops("models", "list", "--all").out


def test_list_can_be_limited_to_a_provider(ops: "Ops") -> None:
    rows = ops("models", "list", "--provider", "groq", "--json").json()

    assert {row["provider"] for row in rows} == {"groq"}
    assert ops("models", "list", "--provider", "x").code == 2


def test_the_homes_own_models_are_listed(ops: "Ops", home: Path) -> None:
    home.mkdir()
    (home / "models.toml").write_text(
        '[[models]]\nprovider = "openai"\nid = "mine"\nsource = "me"\n'
    )

    rows = {row["model"]: row for row in ops("models", "list", "--json").json()}

    assert rows["mine"]["input_usd"] is None
    assert "unknown" in ops("models", "list").out


def test_listing_makes_no_home(ops: "Ops", home: Path) -> None:
    assert ops("models", "list").code == 0
    assert not home.exists()
