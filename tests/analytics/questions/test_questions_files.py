"""The SQL files themselves: each says what it answers, and each is asked by somebody."""

from importlib.resources import files

import duckdb
import pytest

_FOLDER = files("grabient_ops.analytics.questions")
_SQL = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".sql"))
_PYTHON = "".join(
    entry.read_text(encoding="utf-8") for entry in _FOLDER.iterdir() if entry.name.endswith(".py")
)


@pytest.mark.parametrize("name", _SQL)
def test_every_question_says_what_it_is_about_its_shape_and_its_needs(name: str) -> None:
    text = _FOLDER.joinpath(name).read_text(encoding="utf-8")
    first, *lines = text.splitlines()
    header = " ".join(line for line in lines if line.startswith("-- "))

    assert first.startswith("-- ")
    assert first.endswith((".", "?"))
    assert "One row per" in header
    assert "Needs " in header
    assert len(duckdb.extract_statements(text)) == 1


@pytest.mark.parametrize("name", _SQL)
def test_every_question_is_asked(name: str) -> None:
    assert f'"{name.removesuffix(".sql")}"' in _PYTHON.replace("'", '"')
