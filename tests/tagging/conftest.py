"""A clean answer to vary, and the answers that real models gave."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RAW_OUTPUTS = Path(__file__).parents[1] / "data" / "llm" / "raw_outputs.jsonl"

CLEAN: dict[str, Any] = {
    "mood": ["calm", "凉", "sérénité"],
    "style": ["art deco"],
    "dominant_colors": ["navy", "blue"],
    "harmony": ["analogous"],
    "temperature": "cool",
    "contrast": "high",
    "brightness": "dark",
    "saturation": "vibrant",
    "seasonal": ["Lunar New Year"],
    "associations": ["sea", "🌊", "midnight sky"],
}


@pytest.fixture
def clean() -> dict[str, Any]:
    """Return a fresh clean answer, as a model should give it."""
    return copy.deepcopy(CLEAN)


@pytest.fixture
def write(clean: dict[str, Any]) -> Callable[..., str]:
    """Return a function that writes the clean answer as JSON, with some fields changed."""
    return lambda **changed: json.dumps(clean | changed, ensure_ascii=False)


@pytest.fixture(scope="session")
def raw_outputs() -> list[dict[str, Any]]:
    """Return the answers of real models: `raw`, `finish_reason`, `model`, `variant` and more."""
    return [json.loads(line) for line in RAW_OUTPUTS.read_text("utf-8").splitlines()]
