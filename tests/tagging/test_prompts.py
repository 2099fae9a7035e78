import hashlib
from importlib import resources
from typing import get_args

import pytest

from grabient_ops.palettes import harmony, theory
from grabient_ops.tagging.prompts import answer_schema, prompt_version, tagging_prompt
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, HARMONIES, LIST_FIELDS, SYNONYMS


def test_the_version_is_the_hash_of_the_file_as_it_is() -> None:
    content = resources.files("grabient_ops.tagging.prompts").joinpath("tagging.md").read_bytes()

    prompt = tagging_prompt()

    assert prompt.content.encode() == content
    assert prompt.version == hashlib.sha256(content).hexdigest()[:12]
    assert prompt.kind == "tagging"


def test_every_change_of_a_prompt_is_another_version() -> None:
    versions = {prompt_version(text) for text in ("tag", "Tag", "tag ", "tag\n", "tag\r\n", "標籤")}

    assert len(versions) == 6
    assert all(len(version) == 12 for version in versions)


@pytest.mark.parametrize("field", FIELDS)
def test_the_prompt_explains_every_field_on_a_line_of_its_own(field: str) -> None:
    assert f"\n- {field}: " in tagging_prompt().content


def test_the_prompt_asks_for_the_fields_in_their_order() -> None:
    assert f"\n{', '.join(FIELDS)}\n" in tagging_prompt().content


@pytest.mark.parametrize(
    "word", {*theory.DOMINANT_COLORS, *HARMONIES, *(w for ws in CATEGORIES.values() for w in ws)}
)
def test_the_prompt_names_every_closed_word_away_from_the_keys(word: str) -> None:
    keys, words = tagging_prompt().content.split("# Which words to use")

    assert word in words
    assert f'"{word}"' not in keys


def test_no_line_of_a_key_gives_a_count_that_could_be_echoed() -> None:
    key_lines = [line for line in tagging_prompt().content.splitlines() if line.startswith("- ")]

    assert len(key_lines) == len(FIELDS)
    assert not any(char.isdigit() or char in '["' for line in key_lines for char in line)


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


def test_the_schema_uses_only_keywords_that_every_provider_enforces() -> None:
    def keywords(node: dict[str, object]) -> set[str]:
        inner = [value for value in node.values() if isinstance(value, dict)]
        return set(node).union(*map(keywords, inner))

    allowed = {"type", "properties", "required", "additionalProperties", "items", "enum"}

    assert keywords(answer_schema()) <= allowed | set(FIELDS)


def test_a_schema_that_a_provider_changes_is_its_own() -> None:
    answer_schema()["properties"].clear()

    assert answer_schema()["properties"]


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
