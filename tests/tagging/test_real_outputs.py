"""Regression on answers of real models: how many are usable, at which stage, and what never is."""

from collections import Counter
from typing import Any

import pytest
from json_repair import repair_json

from grabient_ops.tagging.answers import ParsedAnswer, parse_answer
from grabient_ops.tagging.coercion import ENOUGH_FIELDS, known_fields, object_in, to_tags
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, LIST_FIELDS

RawOutput = dict[str, Any]


@pytest.fixture(scope="module")
def parsed(raw_outputs: list[RawOutput]) -> list[ParsedAnswer]:
    return [parse_answer(output["raw"], output["finish_reason"]) for output in raw_outputs]


def test_every_output_ends_where_it_did(parsed: list[ParsedAnswer]) -> None:
    assert Counter((answer.error_class or "usable", answer.stage) for answer in parsed) == {
        ("usable", "strict"): 81,
        ("usable", "stripped"): 14,
        ("usable", "balanced"): 4,
        ("usable", "repaired"): 21,
        ("unparsable", "strict"): 2,
        ("unparsable", "balanced"): 1,
        ("unparsable", "repaired"): 4,
        ("unparsable", "none"): 8,
        ("truncated", "repaired"): 16,
        ("truncated", "none"): 13,
    }


def test_whatever_json_repair_can_use_is_usable(
    raw_outputs: list[RawOutput], parsed: list[ParsedAnswer]
) -> None:
    for output, answer in zip(raw_outputs, parsed, strict=True):
        fields = known_fields(object_in(repair_json(output["raw"], return_objects=True)))
        tags, _ = to_tags(fields)
        if len(fields) >= ENOUGH_FIELDS and any(tags.values()):
            assert answer.tags is not None


def test_an_answer_under_a_grammar_is_strict_json_unless_it_was_cut(
    raw_outputs: list[RawOutput], parsed: list[ParsedAnswer]
) -> None:
    stages = {
        answer.stage
        for output, answer in zip(raw_outputs, parsed, strict=True)
        if output["constrained"] == "json_schema" and output["finish_reason"] == "stop"
    }

    assert stages == {"strict"}


def test_an_echoed_list_of_options_is_never_a_vote(
    raw_outputs: list[RawOutput], parsed: list[ParsedAnswer]
) -> None:
    echoes = 0
    for output, answer in zip(raw_outputs, parsed, strict=True):
        for field, (first, *others) in CATEGORIES.items():
            options = f'"{field}": ["{first}", "{others[0]}"'
            if answer.tags is not None and options in output["raw"]:
                echoes += 1
                assert answer.tags[field] is None
                assert field in answer.ambiguous

    assert echoes > 50


def test_no_cut_anywhere_makes_a_tag_or_a_vote(
    raw_outputs: list[RawOutput], parsed: list[ParsedAnswer]
) -> None:
    usable_cuts = 0
    for output, answer in zip(raw_outputs, parsed, strict=True):
        sizes = range(1, len(output["raw"]), 11) if answer.tags else ()
        for size in sizes:
            cut = parse_answer(output["raw"][:size], "length").tags
            if cut is not None:
                usable_cuts += 1
                assert answer.tags is not None
                assert all(cut[field] in {None, answer.tags[field]} for field in CATEGORIES)
                for field in LIST_FIELDS:
                    assert set(cut[field] or ()) <= set(answer.tags[field] or ())

    assert usable_cuts > 500


def test_tags_hold_no_debris(parsed: list[ParsedAnswer]) -> None:
    lists = [answer.tags[field] for answer in parsed if answer.tags for field in LIST_FIELDS]
    tags = {tag for tags in lists for tag in tags or ()}

    assert len(tags) > 300
    assert not [tag for tag in tags if any(mark in tag for mark in '"[]{}:\n`#') or len(tag) > 60]


def test_tags_in_other_scripts_are_kept(parsed: list[ParsedAnswer]) -> None:
    tags = {tag for answer in parsed if answer.tags for tag in answer.tags["mood"] or ()}

    assert {"喜悦", "悲伤", "宁静"} <= tags


def test_every_usable_answer_has_the_ten_fields(parsed: list[ParsedAnswer]) -> None:
    assert {tuple(answer.tags) for answer in parsed if answer.tags} == {FIELDS}
