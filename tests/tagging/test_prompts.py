import hashlib
import json
from collections.abc import Callable
from importlib import resources
from typing import Any, get_args

import pytest

from grabient_ops.palettes import harmony, theory
from grabient_ops.tagging.prompts import (
    Prompt,
    answer_schema,
    prompt_version,
    refinement_prompt,
    refinement_schema,
    tagging_prompt,
)
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, HARMONIES, LIST_FIELDS, SYNONYMS

MORE_KEYS = ("dropped", "sentence")
both = pytest.mark.parametrize(
    "prompt", [tagging_prompt(), refinement_prompt()], ids=lambda p: p.kind
)


@both
def test_the_version_is_the_hash_of_the_file_as_it_is(prompt: Prompt) -> None:
    file = resources.files("grabient_ops.tagging.prompts").joinpath(f"{prompt.kind}.md")

    assert prompt.content.encode() == file.read_bytes()
    assert prompt.version == hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    assert "JSON" in prompt.content


def test_the_two_stages_have_prompts_of_their_own() -> None:
    assert (tagging_prompt().kind, refinement_prompt().kind) == ("tagging", "refinement")
    assert tagging_prompt().version != refinement_prompt().version


def test_every_change_of_a_prompt_is_another_version() -> None:
    versions = {prompt_version(text) for text in ("tag", "Tag", "tag ", "tag\n", "tag\r\n", "標籤")}

    assert len(versions) == 6
    assert all(len(version) == 12 for version in versions)


@both
@pytest.mark.parametrize("field", FIELDS)
def test_the_prompt_explains_every_field_on_a_line_of_its_own(field: str, prompt: Prompt) -> None:
    assert f"\n- {field}: " in prompt.content


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [(tagging_prompt(), FIELDS), (refinement_prompt(), (*FIELDS, *MORE_KEYS))],
    ids=["tagging", "refinement"],
)
def test_the_prompt_asks_for_the_keys_in_their_order(prompt: Prompt, keys: tuple[str, ...]) -> None:
    assert f"\n{', '.join(keys)}\n" in prompt.content


@both
@pytest.mark.parametrize(
    "word",
    sorted({*theory.DOMINANT_COLORS, *HARMONIES, *(w for ws in CATEGORIES.values() for w in ws)}),
)
def test_the_prompt_names_every_closed_word_away_from_the_keys(word: str, prompt: Prompt) -> None:
    keys, words = prompt.content.split("# Which words to use")

    assert word in words
    assert f'"{word}"' not in keys


@both
def test_no_line_of_a_key_gives_a_count_that_could_be_echoed(prompt: Prompt) -> None:
    key_lines = [line for line in prompt.content.splitlines() if line.startswith("- ")]

    assert len(FIELDS) <= len(key_lines) <= len(FIELDS) + len(MORE_KEYS)
    assert not any(char.isdigit() or char in '["' for line in key_lines for char in line)


@pytest.mark.parametrize(
    "rule",
    [
        "Trust the consensus",
        "true synonyms",
        "Keep specific words",
        "contradict",
        "good outliers",
        "Say what you dropped",
        "in English",
        "quotations",
    ],
)
def test_the_refinement_prompt_states_every_rule(rule: str) -> None:
    assert rule in refinement_prompt().content


def test_the_schema_demands_every_field_and_no_other() -> None:
    schema = answer_schema()

    assert tuple(schema["properties"]) == FIELDS
    assert schema["required"] == list(FIELDS)
    assert schema["additionalProperties"] is False


def test_the_schema_closes_what_is_closed_and_leaves_the_rest_open() -> None:
    properties = answer_schema()["properties"]

    assert {field: properties[field]["enum"] for field in CATEGORIES} == {
        field: list(words) for field, words in CATEGORIES.items()
    }
    assert {field: properties[field]["items"].get("enum") for field in LIST_FIELDS} == {
        "mood": None,
        "style": None,
        "dominant_colors": list(theory.DOMINANT_COLORS),
        "harmony": list(HARMONIES),
        "seasonal": None,
        "associations": None,
    }


def test_the_schema_of_a_refinement_adds_what_was_dropped_and_a_sentence() -> None:
    schema = refinement_schema()
    properties = schema["properties"]

    assert list(properties) == schema["required"] == [*FIELDS, *MORE_KEYS]
    assert {field: properties[field] for field in FIELDS} == answer_schema()["properties"]
    assert properties["sentence"] == {"type": "string"}
    assert properties["dropped"]["items"]["required"] == ["tag", "reason"]
    assert properties["dropped"]["items"]["additionalProperties"] is False


@pytest.mark.parametrize("schema", [answer_schema(), refinement_schema()], ids=["tag", "refine"])
def test_the_schema_uses_only_keywords_that_every_provider_enforces(schema: dict[str, Any]) -> None:
    def keywords(node: dict[str, object]) -> set[str]:
        inner = [value for value in node.values() if isinstance(value, dict)]
        return set(node).union(*map(keywords, inner))

    allowed = {"type", "properties", "required", "additionalProperties", "items", "enum"}

    assert keywords(schema) <= {*allowed, *FIELDS, *MORE_KEYS, "tag", "reason"}


@pytest.mark.parametrize("make", [answer_schema, refinement_schema])
def test_a_schema_that_a_provider_changes_is_its_own(make: Callable[[], dict[str, Any]]) -> None:
    whole = json.dumps(make())

    schema = make()
    for part in schema["properties"].values():
        part.clear()
    schema["properties"].clear()

    assert json.dumps(make()) == whole


def test_the_vocabulary_is_what_can_be_computed_from_the_colours() -> None:
    computed = {
        "temperature": theory.Temperature,
        "contrast": theory.Contrast,
        "brightness": theory.Brightness,
        "saturation": theory.Saturation,
    }

    assert {field: get_args(words) for field, words in computed.items()} == CATEGORIES
    assert set(HARMONIES) == set(harmony.HARMONIES)


def test_synonyms_lead_to_words_of_their_field_and_never_hide_one() -> None:
    for field, synonyms in SYNONYMS.items():
        assert set(synonyms.values()) <= set(CATEGORIES[field])
        assert not set(synonyms) & set(CATEGORIES[field])
