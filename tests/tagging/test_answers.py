"""What each shape of answer is worth."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from grabient_ops.tagging.answers import parse_answer
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, SYNONYMS

Write = Callable[..., str]

EMPTY: dict[str, Any] = {field: "" if field in CATEGORIES else [] for field in FIELDS}
TEMPLATE = json.dumps(EMPTY | {"mood": ["2-5 feelings"], "temperature": "warm | cool | neutral"})


def tags_of(text: str) -> dict[str, Any]:
    tags = parse_answer(text).tags
    assert tags is not None
    return tags


def test_a_clean_answer_is_taken_as_it_is(clean: dict[str, Any], write: Write) -> None:
    answer = parse_answer(write(), "stop")

    assert answer.tags == clean
    assert list(answer.tags) == list(FIELDS)
    assert (answer.error_class, answer.error) == (None, None)
    assert (answer.stage, answer.repaired, answer.ambiguous) == ("strict", False, ())


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ('{"tags": %s}', "strict"),
        ('{"id": 7, "result": {"tags": [%s]}}', "strict"),
        ("[%s]", "strict"),
        ("\n  %s\n\n", "strict"),
        ("```json\n%s\n```", "stripped"),
        ("```json\n%s", "stripped"),
        ("```%s```", "stripped"),
        ("<think>Is it {warm}? No.</think>\n%s", "stripped"),
        ('<think>{"mood": []}</think>```json\n%s\n```', "stripped"),
        ("I think it is cool.\n</think>\n\n%s", "stripped"),
        ("<THINKING>\nhm\n</THINKING>%s", "stripped"),
        ("<think>It is cool. So: %s", "balanced"),
        ("Here is {the} JSON:\n```json\n%s\n```\nEnjoy {it}!", "balanced"),
        ("\ufeff%s", "balanced"),
        ("%s<|im_end|>\n<|im_start|>assistant", "balanced"),
        (TEMPLATE + "\n%s", "balanced"),
        ("%s\n" + TEMPLATE, "balanced"),
    ],
)
def test_an_answer_is_found_inside_other_text(
    clean: dict[str, Any], write: Write, text: str, stage: str
) -> None:
    answer = parse_answer(text.replace("%s", write()))

    assert answer.tags == clean
    assert answer.stage == stage
    assert answer.repaired == (stage != "strict")


BREAKAGES: dict[str, Callable[[str], str]] = {
    "comma too many": lambda text: text[:-1] + ",}",
    "brace missing": lambda text: text[:-1],
    "bracket and brace missing": lambda text: text[:-2],
    "brace missing in a fence": lambda text: f"```json\n{text[:-1]}\n```",
    "bare key": lambda text: text.replace('"mood"', "mood"),
    "opening quote missing": lambda text: text.replace('"calm"', 'calm"'),
    "comma missing": lambda text: text.replace('], "style"', '] "style"'),
    "comment": lambda text: text.replace("{", "{ // the tags\n", 1),
    "single quotes": lambda text: text.replace('"', "'"),
    "broken and talkative": lambda text: (
        "It is:\n" + text.replace('"calm"', 'calm"') + "\nI hope {this} helps, friend."
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES)
def test_a_broken_answer_is_repaired_without_loss(
    clean: dict[str, Any], write: Write, breakage: Callable[[str], str]
) -> None:
    answer = parse_answer(breakage(write()), "stop")

    assert answer.tags == clean
    assert (answer.stage, answer.repaired) == ("repaired", True)


def test_json_inside_a_json_string_is_read(clean: dict[str, Any], write: Write) -> None:
    assert tags_of(json.dumps(write())) == clean
    assert tags_of(json.dumps({"output": write()})) == clean


def test_of_several_answers_the_last_counts(write: Write) -> None:
    assert tags_of(write(mood=["draft"]) + "\nBetter:\n" + write(mood=["final"]))["mood"] == [
        "final"
    ]


@pytest.mark.parametrize("form", ["[{}, {}]", '{{"draft": {}, "final": {}}}'])
def test_of_several_answers_in_one_document_the_last_counts(write: Write, form: str) -> None:
    text = form.format(write(mood=["draft"]), write(mood=["final"]))

    assert tags_of(text)["mood"] == ["final"]


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "<think>many</think>{}"])
def test_ten_thousand_tags_in_one_answer_are_kept(write: Write, form: str) -> None:
    tags = [f"tag {number} 凉" for number in range(10_000)]

    assert tags_of(form.format(write(associations=tags)))["associations"] == tags


def test_a_broken_last_answer_does_not_hide_a_whole_one(write: Write) -> None:
    assert tags_of(write(mood=["whole"]) + write(mood=["cut"])[:-30])["mood"] == ["whole"]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "title": str.title,
    "blank": lambda key: key.replace("_", " ").title(),
    "hyphen": lambda key: key.replace("_", "-"),
    "camel": lambda key: key.replace("_c", "C"),
    "British": lambda key: key.replace("colors", "colours"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_keys_are_known_in_every_spelling(
    clean: dict[str, Any], spell: Callable[[str], str]
) -> None:
    assert tags_of(json.dumps({spell(key): value for key, value in clean.items()})) == clean


@pytest.mark.parametrize(
    ("field", "word", "meant"),
    [(field, word, meant) for field, words in SYNONYMS.items() for word, meant in words.items()],
)
def test_every_synonym_is_a_vote(write: Write, field: str, word: str, meant: str) -> None:
    assert tags_of(write(**{field: word}))[field] == meant
    assert tags_of(write(**{field: [word.title()]}))[field] == meant


@pytest.mark.parametrize(
    ("value", "vote"),
    [
        ("WARM", "warm"),
        (" Cool_Warm. ", "cool-warm"),
        ("cool warm", "cool-warm"),
        ("cool\u2013warm", "cool-warm"),
        (["warm"], "warm"),
        ([["warm"], "Warm"], "warm"),
        (["warm", None, 3], "warm"),
        (["grey", "balanced", "neutral"], "neutral"),
        ("hot", None),
        ("", None),
        (["warm", "hot"], "warm"),
        (None, None),
        (2, None),
        ({"value": "warm"}, None),
    ],
)
def test_one_word_is_a_vote_and_no_word_is_none(write: Write, value: object, vote: str) -> None:
    answer = parse_answer(write(temperature=value))

    assert answer.tags is not None
    assert answer.tags["temperature"] == vote
    assert answer.ambiguous == ()


@pytest.mark.parametrize(
    "value",
    [
        ["warm", "cool", "neutral", "cool-warm"],
        ["hot", "sunny"],
        [],
        ["warm", "…"],
        "warm, cool",
        "warm/cool",
        "warm | cool | neutral | cool-warm",
        "冷、warm",
    ],
)
def test_several_words_are_no_vote_for_the_first(write: Write, value: object) -> None:
    answer = parse_answer(write(temperature=value))

    assert answer.tags is not None
    assert answer.tags["temperature"] is None
    assert answer.ambiguous == ("temperature",)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("calm", ["calm"]),
        ("calm, quiet;soft\nstill", ["calm", "quiet", "soft", "still"]),
        (["兴奋、愉快", "快乐\uff0c高兴\uff1b爱"], ["兴奋", "愉快", "快乐", "高兴", "爱"]),
        (["1,000 lights", "rock'n'roll", "7 seas"], ["1,000 lights", "rock'n'roll", "7 seas"]),
        (["calm", " calm ", "Calm", "CALM"], ["calm"]),
        (["Belle Époque", "ЗИМА"], ["Belle Époque", "ЗИМА"]),
        (["cafe\u0301"], ["cafe\u0301"]),
        (["👩‍🚀", "❤️", "سكون", "🏳️‍🌈"], ["👩‍🚀", "❤️", "سكون", "🏳️‍🌈"]),
        ([" a\u0000b\u0007 ", "x\ty", "\u0085z"], ["ab", "x y", "z"]),
        (["a", ["b", ["c"]]], ["a", "b", "c"]),
        ([2, 5, None, True, 1.5, {"name": "calm"}], []),
        (["2", "-", "...", "?!", "", "  "], []),
        (["2-5 feelings", "1-5 design movements, eras or industries", "2 to 3 words"], []),
        (["none", "None", "N/A", "null", "unknown"], []),
        (["#ff8800", "#fff", "rgb(1,2,3)", "lch(5a5b7e", "hsla(1, 2%, 3%, 1)", "c6e3be"], []),
        (["deep blue (#001f3f)", "facade", "1980s", "3d"], ["deep blue", "facade", "1980s", "3d"]),
        (['calm", "style": ["modern'], []),
        (["x" * 100, "y" * 101], ["x" * 100]),
        (["prose " * 200 + ", calm"], []),
        ({"calm": 0.9}, []),
    ],
)
def test_tags_keep_their_spelling_and_what_is_no_tag_is_dropped(
    write: Write, value: object, tags: list[str]
) -> None:
    assert tags_of(write(mood=value))["mood"] == tags


def test_lone_surrogates_never_reach_the_store(write: Write) -> None:
    for text in (write().replace("calm", "\\ud83ccalm"), write().replace("calm", "\ud83ccalm")):
        assert tags_of(text)["mood"][0] == "calm"


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_eight_keys_are_an_answer(clean: dict[str, Any], missing: int) -> None:
    kept = dict(list(clean.items())[missing:])

    assert tags_of(json.dumps(kept)) == {field: [] for field in FIELDS} | kept


@pytest.mark.parametrize("text", [json.dumps(EMPTY), json.dumps(dict.fromkeys(FIELDS)), TEMPLATE])
def test_ten_fields_without_a_word_are_an_answer_without_tags(text: str) -> None:
    answer = parse_answer(text, "stop")

    assert answer.error_class is None
    assert answer.tags is not None
    assert not any(answer.tags.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "I cannot help with that.",
        "null",
        "[]",
        "3",
        '"calm"',
        "{",
        "```json\n```",
        json.dumps({"type": "object", "properties": {f: {"type": "array"} for f in FIELDS}}),
    ],
)
def test_what_is_no_answer_is_unparsable(text: str) -> None:
    answer = parse_answer(text, "stop")

    assert answer.tags is None
    assert answer.error_class is ErrorClass.UNPARSABLE
    assert answer.error is not None
    assert answer.error.endswith(".")


def test_seven_keys_are_unparsable(clean: dict[str, Any]) -> None:
    answer = parse_answer(json.dumps(dict(list(clean.items())[3:])), "stop")

    assert answer.error_class is ErrorClass.UNPARSABLE
    assert answer.error == "The answer holds 7 of the ten fields, 8 are needed."


@pytest.mark.parametrize(
    "reason", ["refusal", "content_filter", "SAFETY", "FinishReason.PROHIBITED_CONTENT", "spii"]
)
def test_a_refusal_is_refused_whatever_was_written(write: Write, reason: str) -> None:
    for text in ("", "I'm sorry, but", write()):
        answer = parse_answer(text, reason)

        assert answer.tags is None
        assert answer.error_class is ErrorClass.REFUSED


@pytest.mark.parametrize("reason", [None, "", "stop", "STOP", "end_turn", "FinishReason.STOP", "?"])
def test_any_other_reason_leaves_a_good_answer_good(write: Write, reason: str | None) -> None:
    assert parse_answer(write(), reason).error_class is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 64_000,
        '{"mood":' * 8_000,
        '{"mood":[' + "[" * 64_000,
        '"' * 64_000,
        '{"mood": ["' + "\\" * 64_000,
        "<think>" * 9_000,
        "{" + " " * 64_000,
        " " * 1_000_000,
        '{"mood": [' + "1," * 500_000,
        '{"mood": ["' + "\\n" * 32_000 + '"]}',
        '{"mood": ["' + "(" * 32_000 + '"]}',
        '{"mood":a' + "}“a" * 20_000,
        '{"mood": ' + "9" * 60_000 + "}",
    ],
    ids=lambda text: text[:14],
)
def test_hostile_text_is_read_in_bounded_time(text: str) -> None:
    assert parse_answer(text).error_class is ErrorClass.UNPARSABLE


def test_an_answer_after_very_long_thoughts_is_found(clean: dict[str, Any], write: Write) -> None:
    assert tags_of("<think>" + "hm " * 100_000 + "</think>" + write()) == clean
