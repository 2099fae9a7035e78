"""The imaginary models are repeatable, differ from each other, and err as real ones do."""

from collections import Counter
from functools import cache
from itertools import combinations

import orjson
import pytest

from grabient_ops.sandbox.personas.palette import pools
from grabient_ops.sandbox.personas.shape import Shape
from grabient_ops.sandbox.personas.talk import Answer, Ask
from grabient_ops.sandbox.personas.voice import Voice
from grabient_ops.tagging.answers import parse_answer
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS

MODELS = (
    "gpt-4o-mini",
    "gpt-5.4-nano",
    "claude-haiku-4-5-20251001",
    "gemini-2.5-flash-lite",
    "openai/gpt-oss-20b",
    "qwen/qwen3.8-27b",
)
SCHEMA = {
    "type": "object",
    "properties": {
        **{name: {"type": "array", "items": {"type": "string"}} for name in FIELDS},
        **{name: {"type": "string", "enum": list(words)} for name, words in CATEGORIES.items()},
    },
}
FREE, STRICT = Shape(None), Shape(SCHEMA)


def palette(number: int) -> str:
    colours = [f"#{(number * 7919 + step * 104_729) % (1 << 24):06x}" for step in range(11)]
    return orjson.dumps({"hex": colours}).decode()


@cache
def answers(model: str, shape: Shape = FREE, count: int = 600, salt: str = "ab") -> list[Answer]:
    asks = [(i, Ask(palette(i), 2000, 1.6), shape) for i in range(count)]
    return Voice(model, salt).answers(asks)


def test_the_same_batch_is_answered_the_same_way_in_pieces_too() -> None:
    asks = [(i, Ask(palette(i)), FREE) for i in range(40)]
    whole = Voice("gpt-4o-mini", "ab").answers(asks)

    voice = Voice("gpt-4o-mini", "ab")
    pieces = [answer for i in range(0, 40, 7) for answer in voice.answers(asks[i : i + 7])]

    assert pieces == whole


def test_another_salt_or_model_gives_other_answers() -> None:
    texts = {
        tuple(a.text for a in answers(model, count=20, salt=salt))
        for model in MODELS
        for salt in ("ab", "cd")
    }

    assert len(texts) == 2 * len(MODELS)


@pytest.mark.parametrize("shape", [FREE, STRICT], ids=["free", "schema"])
@pytest.mark.parametrize("model", MODELS)
def test_nearly_all_answers_are_usable_but_not_all(model: str, shape: Shape) -> None:
    given = answers(model, shape)

    usable = sum(parse_answer(a.text, a.finish).error_class is None for a in given)

    assert 0.94 < usable / len(given) < 1


def test_a_schema_keeps_types_and_closed_words_right() -> None:
    for answer in (a for model in MODELS for a in answers(model, STRICT) if a.finish == "stop"):
        tags = orjson.loads(answer.text)
        assert list(tags) == list(SCHEMA["properties"])
        assert all(tags[name] in words for name, words in CATEGORIES.items())


def test_without_a_schema_models_err_in_many_ways() -> None:
    texts = [a.text for model in MODELS for a in answers(model)]

    for sign in ("```", "<think>", "Here is the JSON", '"tags"', "2-5 feelings", "dominantColors"):
        assert any(sign in text for text in texts), sign
    finishes = Counter(a.finish for model in MODELS for a in answers(model))
    assert finishes["length"] > 10
    assert finishes["refusal"] > 3


def test_some_words_are_chinese_some_emoji_some_right_to_left() -> None:
    text = "".join(a.text for model in MODELS for a in answers(model))

    assert any("一" <= letter <= "鿿" for letter in text)
    assert any("א" <= letter <= "ي" for letter in text)
    assert any(letter > "\U0001f000" for letter in text)


def test_models_agree_on_a_palette_more_than_on_two() -> None:
    def moods(model: str, number: int) -> set[str]:
        answer = answers(model)[number]
        tags = parse_answer(answer.text, answer.finish).tags or {}
        return {str(word).lower() for word in tags.get("mood") or ()}

    same = other = 0
    for one, two in combinations(MODELS, 2):
        for number in range(100):
            same += len(moods(one, number) & moods(two, number))
            other += len(moods(one, number) & moods(two, number + 1))

    assert same > 2 * other


def test_noise_grows_with_temperature() -> None:
    def texts(temperature: float) -> int:
        asks = [(i, Ask(palette(1), temperature=temperature), FREE) for i in range(300)]
        said = [parse_answer(a.text).tags or {} for a in Voice("gpt-4o-mini", "ab").answers(asks)]
        return len({str(word) for tags in said for word in tags.get("mood") or ()})

    assert texts(0.0) < texts(1.0) < texts(2.0)


def test_an_answer_longer_than_its_limit_is_cut_with_the_reason() -> None:
    asks = [(i, Ask(palette(i), max_tokens=20), FREE) for i in range(50)]

    given = Voice("gpt-4o-mini", "ab").answers(asks)

    assert all(answer.output_tokens <= 21 for answer in given)
    assert Counter(answer.finish for answer in given)["length"] >= 48


def test_unknown_fields_of_a_schema_are_made_up_by_their_type() -> None:
    schema = {
        "properties": {
            "embed_text": {"type": "string"},
            "score": {"type": "integer"},
            "words": {"type": "array", "items": {"enum": ["a", "b"]}},
        }
    }
    answer = next(a for a in answers("gpt-4o-mini", Shape(schema)) if a.finish == "stop")

    made = orjson.loads(answer.text)

    assert set(made) == {"embed_text", "score", "words"}
    assert isinstance(made["score"], int)
    assert set(made["words"]) <= {"a", "b"}


def test_the_word_lists_are_rich() -> None:
    for field in ("mood", "style", "seasonal", "associations"):
        assert len({word for words in pools()[field].values() for word in words}) >= 150
