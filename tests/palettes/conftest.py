"""Vectors of the seed format: committed ones, and those of the first system where they are near."""

import json
from pathlib import Path
from typing import Any

import pytest

_COMMITTED = Path(__file__).parents[1] / "data/palettes"
_BESIDE_THE_CHECKOUT = Path(__file__).parents[3] / "shared/data/palettes"
_FOLDERS = [folder for folder in (_COMMITTED, _BESIDE_THE_CHECKOUT) if folder.is_dir()]

Vector = dict[str, Any]


@pytest.fixture(params=_FOLDERS, ids=lambda folder: folder.parts[-3])
def vectors_folder(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def _read(file: Path) -> list[Vector]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture
def legacy_vectors(vectors_folder: Path) -> list[Vector]:
    return _read(vectors_folder / "vectors_legacy.jsonl")


@pytest.fixture
def aligned_vectors(vectors_folder: Path) -> list[Vector]:
    return _read(vectors_folder / "vectors_aligned.jsonl")


@pytest.fixture
def colour_facts(vectors_folder: Path) -> list[Vector]:
    return _read(vectors_folder / "colour_facts.jsonl")


@pytest.fixture
def edge_seeds(vectors_folder: Path) -> list[Vector]:
    return _read(vectors_folder / "seeds_invalid.jsonl")
