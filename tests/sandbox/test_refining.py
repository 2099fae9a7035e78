"""A question that holds a consensus is known by its form and answered as by a refining model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.sandbox.limits import thinks_adaptively
from grabient_ops.sandbox.personas.consensus import read_consensus
from grabient_ops.sandbox.personas.instructions import more_keys
from grabient_ops.sandbox.personas.shape import Shape
from grabient_ops.sandbox.personas.talk import Answer, Ask, Finish
from grabient_ops.sandbox.personas.voice import Voice
from grabient_ops.sandbox.wire.anthropic.lines import MessagesDialect
from grabient_ops.tagging.prompts import refinement_prompt, refinement_schema
from grabient_ops.tagging.refined import parse_refinement
from grabient_ops.tagging.summary import Vote, write_summary
from grabient_ops.tagging.vocabulary import CATEGORIES

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import Drive

OPUS = "claude-opus-4-5-20251101"
MODELS = (OPUS, "gpt-4o-mini", "gemini-2.5-flash", "openai/gpt-oss-20b", "qwen/qwen3.8-27b")
COLOURS = (
    '{"hex":["#1b2a5e","#22386f","#2a4680","#325491","#3a62a2","#4270b3","#4a7ec4","#528cd5"]}'
)
VOTES = [
    Vote("mood", "calm", 9),
    Vote("mood", "harmonious", 8),
    Vote("mood", "宁静", 1),
    Vote("associations", "rain", 7),
    Vote("associations", "blueberry", 2),
    Vote("associations", "blueberries", 5),
    Vote("associations", "lava", 1),
    Vote("style", 'quote " and \\ slash', 6),
    Vote("dominant_colors", "blue", 9),
    Vote("dominant_colors", "turquoise", 4),
    Vote("dominant_colors", "red", 3),
    Vote("temperature", "warm", 2),
    Vote("temperature", "cool", 8),
    Vote("contrast", "cold", 9),
]
SUMMARY = write_summary(COLOURS, VOTES, 10, 5)
FREE, STRICT = Shape(None), Shape(refinement_schema())
KEYS = ("dropped", "sentence")


def refinements(model: str, shape: Shape, count: int = 300) -> list[Answer]:
    asks = [(i, Ask(SUMMARY, 5000, more_keys=KEYS), shape) for i in range(count)]
    return Voice(model, "ab").answers(asks)


@pytest.mark.parametrize("shape", [FREE, STRICT], ids=["free", "schema"])
@pytest.mark.parametrize("model", MODELS)
def test_nearly_all_refinements_are_usable_but_not_all(model: str, shape: Shape) -> None:
    given_answers = refinements(model, shape)

    parsed = [parse_refinement(answer.text, answer.finish) for answer in given_answers]
    usable = [one for one in parsed if one.tags]

    assert 0.93 < len(usable) / len(parsed) < 1
    assert all(one.sentence for one in usable if one.stage == "strict")
    assert sum(bool(one.dropped) for one in usable) > 0.9 * len(usable)


@pytest.mark.parametrize("model", MODELS)
def test_the_consensus_is_trusted_merged_and_weeded(model: str) -> None:
    sound = [orjson.loads(one.text) for one in refinements(model, STRICT) if one.finish == "stop"]
    answers = [one for one in sound if one["mood"]]

    def share(field: str, tag: str) -> float:
        return sum(tag in (word.lower() for word in one[field]) for one in answers) / len(answers)

    assert share("mood", "calm") > 0.9
    assert share("associations", "blueberries") > 0.9
    assert share("associations", "blueberry") < 0.1
    assert share("dominant_colors", "turquoise") == 0
    assert share("associations", "lava") < 0.1
    assert {one["temperature"] for one in answers} == {"cool"}
    assert all(one["contrast"] in CATEGORIES["contrast"] for one in answers)
    reasons = {(entry["tag"], entry["reason"]) for one in answers for entry in one["dropped"]}
    assert ("blueberry", "the same as blueberries") in reasons


def test_a_refinement_makes_the_mistakes_of_its_model() -> None:
    texts = [answer.text for model in MODELS for answer in refinements(model, FREE)]

    for sign in ("```", "<think>", "Here is the JSON", '"tags"', "2-5 feelings", "dominantColors"):
        assert any(sign in text for text in texts), sign
    assert {answer.finish for answer in refinements(OPUS, FREE, 900)} == set(get_args(Finish))


def test_a_schema_with_other_names_is_filled_by_its_form() -> None:
    text = {"type": "string"}
    cut = {"type": "object", "properties": {"word": text, "why": text}}
    properties = refinement_schema()["properties"]
    del properties["dropped"], properties["sentence"]
    schema = {"properties": properties | {"cut": {"type": "array", "items": cut}, "line": text}}

    answer = next(a for a in refinements(OPUS, Shape(schema), 9) if a.finish == "stop")

    said = json.loads(answer.text)
    assert list(said) == [*properties, "cut", "line"]
    assert set(said["cut"][0]) == {"word", "why"}
    assert len(said["line"].split()) > 8


def test_a_consensus_is_known_by_its_form_not_by_our_words() -> None:
    first_system = """Colors: []
Model Consensus Data (2 models)

### Mood
- calm: 2/2
- odd: word: 1/2
**Style**
retro: 1/2"""

    found = read_consensus(first_system)

    assert found
    assert {field: [one.tag for one in tags] for field, tags in found.items() if tags} == {
        "mood": ["calm", "odd: word"],
        "style": ["retro"],
    }


@pytest.mark.parametrize(
    "text", [COLOURS, "", "mood:\ncalm: 5/8", "a\nb\nc", '{"hex": []}\n1/2\n3/4\n5/6']
)
def test_other_questions_are_no_consensus(text: str) -> None:
    assert read_consensus(text) is None


@given(st.text(st.characters(categories=None)) | st.text('":/19 \n\\mod#-*', max_size=60))
def test_no_text_makes_the_reader_of_a_consensus_stumble(text: str) -> None:
    for question in (text, f"mood:\n{text}: 1/2\n{text}\n{text}: 2/2\nx: 1/1\ny: 1/0"):
        found = read_consensus(question)
        assert found is None or sum(map(len, found.values())) >= 3
        Voice("gpt-4o-mini", "ab").answers([(0, Ask(question), FREE)])


def test_the_keys_are_read_from_the_instructions() -> None:
    assert tuple(more_keys(refinement_prompt().content)) == KEYS
    example = '{"mood": [], "style": [], "dominant_colors": [], "harmony": [], "temperature": "",'
    example += '"contrast": "", "brightness": "", "saturation": "", "removed": [], "summary": ""}'
    assert tuple(more_keys(example)) == ("removed", "summary")
    assert tuple(more_keys("Tag it and write an embed_text.")) == ("embed_text",)
    assert tuple(more_keys('Say {"a": 1} about one, two, three.')) == ()


def test_a_thinking_budget_is_used_billed_and_kept(drive: Drive, shared_sandbox: Sandbox) -> None:
    driver = drive("anthropic", shared_sandbox.url)
    thinking = {"type": "enabled", "budget_tokens": 2048}
    lines = [
        driver.line(
            f"k-{i}",
            model=OPUS,
            max_tokens=6000,
            thinking=thinking,
            system=refinement_prompt().content,
            messages=[{"role": "user", "content": SUMMARY}],
        )
        for i in range(20)
    ]

    outcomes = driver.outcomes(driver.create(lines))

    thought = [one.usage["output_tokens_details"]["thinking_tokens"] for one in outcomes]
    assert min(thought) >= 400
    assert max(thought) <= 2048
    assert all(one.usage["output_tokens"] > thought[i] for i, one in enumerate(outcomes))
    parsed = [parse_refinement(outcome.text) for outcome in outcomes]
    assert sum(one.sentence is not None for one in parsed) >= 17


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, True),
        ({"thinking": {"type": "enabled"}}, True),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "adaptive"}, "model": "claude-opus-5-5"}, False),
        ({"temperature": 0.5}, True),
        ({"temperature": 1}, False),
        ({"top_k": 5}, True),
        ({"top_p": 0.9}, True),
        ({"top_p": 0.97}, False),
        ({"thinking": {"type": "disabled"}, "temperature": 0.5, "top_k": 5}, False),
    ],
)
def test_thinking_is_validated_as_by_the_old_api_version(
    change: dict[str, Any], *, refused: bool
) -> None:
    body: dict[str, Any] = {
        "model": OPUS,
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": "x"}],
    }

    problem = MessagesDialect("2023-06-01").check(body | change)

    assert (problem is not None) == refused


def test_models_before_4_6_need_a_budget_to_think() -> None:
    assert not thinks_adaptively("claude-haiku-4-5")
    assert thinks_adaptively("claude-sonnet-4-6")
