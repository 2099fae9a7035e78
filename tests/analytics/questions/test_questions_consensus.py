import csv
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.questions import asking
from grabient_ops.analytics.questions.asking import EVERYTHING, Selection
from grabient_ops.analytics.questions.consensus import (
    PaletteTag,
    all_consensus,
    consensus,
    strength,
    write_consensus,
)
from grabient_ops.analytics.warehouse import Warehouse
from grabient_ops.errors import InputError
from grabient_ops.tagging.vocabulary import FIELDS, LIST_FIELDS
from tests.analytics.questions.conftest import HOSTILE, PROMPTS, Opener, answered, said

_SELECTIONS = (
    EVERYTHING,
    Selection(prompts=PROMPTS[:1]),
    Selection(models=["gemini", "groq/openai/gpt-oss-20b"]),
    Selection(runs=[2, 3]),
    Selection([PROMPTS[1][:3]], ["claude"], [1]),
    Selection(runs=[99]),
)


def _counted(answers: Sequence[Answer]) -> list[PaletteTag]:
    """The consensus of all palettes, in plain Python."""
    facts = said(answers)
    votes = Counter((fact.seed, fact.category, fact.tag) for fact in facts)
    by_model = {(fact.seed, fact.category, fact.tag, fact.model) for fact in facts}
    models = Counter((seed, category, tag) for seed, category, tag, _ in by_model)
    sizes = Counter(answer.seed for answer in answered(answers))
    return sorted(
        PaletteTag(seed, category, tag, count, sizes[seed], models[seed, category, tag],
                   count / sizes[seed])
        for (seed, category, tag), count in votes.items()
    )  # fmt: skip


def _chosen(answers: Sequence[Answer], selection: Selection) -> list[Answer]:
    return [
        a
        for a in answers
        if (not selection.prompts or a.prompt_version.startswith(tuple(selection.prompts)))
        and (not selection.models or {a.model, f"{a.provider}/{a.model}"} & {*selection.models})
        and (not selection.runs or a.run_number in selection.runs)
    ]


@pytest.mark.parametrize("selection", _SELECTIONS)
def test_consensus_of_all_palettes_is_the_count_by_hand(
    warehouse: Warehouse, answers: list[Answer], selection: Selection
) -> None:
    found = list(all_consensus(warehouse, selection))

    assert sorted(found) == _counted(_chosen(answers, selection))
    assert found == sorted(found, key=lambda row: (row.seed, row.category, -row.votes, row.tag))


def test_consensus_of_one_palette_is_its_part_of_that_of_all(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    everything = _counted(answers)
    for seed in {answer.seed for answer in answers}:
        found = consensus(warehouse, seed)

        own = [tag for tag in everything if tag.seed == seed]
        assert sorted((seed, *tag) for tag in found.tags) == own
        assert found.responses == own[0].responses
        assert [tag[0] for tag in found.tags] == sorted(tag[0] for tag in found.tags)


def test_small_ranges_of_palettes_give_the_same_as_one(
    warehouse: Warehouse, answers: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_FACTS_AT_ONCE", 500)

    assert sorted(all_consensus(warehouse)) == _counted(answers)


def test_more_models_than_bits_are_counted_all_the_same(open_answers: Opener) -> None:
    tags = json.dumps({"mood": ["calm"]})
    crowd = [Answer(n, "seed", "groq", f"model-{n}", 1, "p", 1, "b", tags) for n in range(1, 80)]

    (tag,) = consensus(open_answers(crowd), "seed").tags

    assert (tag.votes, tag.models) == (79, 79)
    assert [row.models for row in all_consensus(open_answers(crowd))] == [79]


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(HOSTILE)
_tags = st.fixed_dictionaries(
    {}, optional={field: st.lists(_texts, max_size=4) for field in LIST_FIELDS[:3]}
)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(["one", "凉'"]), _tags), min_size=1, max_size=6))
def test_any_unicode_is_counted_as_python_counts_it(
    open_answers: Opener, given_tags: list[tuple[str, dict[str, list[str]]]]
) -> None:
    answers = [
        Answer(n, seed, "groq", "m", n, "p", 1, "b", json.dumps(tags))
        for n, (seed, tags) in enumerate(given_tags, 1)
    ]
    warehouse = open_answers(answers)

    expected = [row for row in _counted(answers) if row.tag]

    assert sorted(all_consensus(warehouse)) == expected
    for seed in {answer.seed for answer in answers}:
        found = sorted((seed, *tag) for tag in consensus(warehouse, seed).tags)
        assert found == [row for row in expected if row.seed == seed]


def test_a_repeated_tag_and_a_failed_answer_count_once_and_never(open_answers: Opener) -> None:
    good = Answer(1, "s", "groq", "m", 1, "p", 1, "b", '{"mood": ["Calm", "calm ", "CALM"]}')
    empty = good._replace(response_id=2, run_number=2, tags='{"mood": []}')
    failed = good._replace(response_id=3, run_number=3, tags=None, error_class="truncated")

    found = consensus(open_answers([good, empty, failed]), "s")

    assert found.tags == [("mood", "calm", 1, 2, 1, 0.5)]
    assert found.tags[0].strength == "moderate"


def test_a_tag_of_100_kilobytes_comes_back_whole(open_answers: Opener) -> None:
    long = "凉" * 40_000
    warehouse = open_answers(
        [Answer(1, "s", "groq", "m", 1, "p", 1, "b", json.dumps({"mood": [long]}))]
    )

    assert consensus(warehouse, "s").tags[0].tag == long


def test_category_and_least_share_leave_tags_out_but_no_answers(warehouse: Warehouse) -> None:
    seed = next(iter(all_consensus(warehouse))).seed
    whole = consensus(warehouse, seed)

    part = consensus(warehouse, seed, category="temperature", min_share=0.3)

    assert part.responses == whole.responses
    assert part.tags == [
        tag for tag in whole.tags if tag.category == "temperature" and tag.share >= 0.3
    ]
    assert 0 < len(part.tags) < len(whole.tags)


@pytest.mark.parametrize("name", ["all.parquet", "it's.CSV"])
def test_files_hold_the_consensus_of_all_palettes(
    warehouse: Warehouse, answers: list[Answer], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name

    count = write_consensus(warehouse, path)

    if path.suffix == ".parquet":
        rows = duckdb.read_parquet(str(path)).fetchall()
        found = [PaletteTag(*row) for row in rows]
    else:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        found = [
            PaletteTag(line["seed"], line["category"], line["tag"], int(line["votes"]),
                       int(line["responses"]), int(line["models"]), float(line["share"]))
            for line in lines
        ]  # fmt: skip
    assert sorted(found) == _counted(answers)
    assert count == len(found)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["all.txt", "missing/all.csv"])
def test_a_file_that_cannot_be_written_is_refused(
    warehouse: Warehouse, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match=name):
        write_consensus(warehouse, tmp_path / name)


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        (Selection(prompts=["zz"]), "no answer has a prompt version 'zz'"),
        (Selection(prompts=["aa"]), "several prompt versions begin 'aa'"),
        (Selection(models=["gpt-9"]), "no answer is by 'gpt-9'; there are anthropic/claude"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(
    warehouse: Warehouse, selection: Selection, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        consensus(warehouse, "no seed's text", selection)


def test_unknown_seed_and_category_are_refused(warehouse: Warehouse) -> None:
    with pytest.raises(InputError, match="no model has answered about the seed '凉'"):
        consensus(warehouse, "凉")
    with pytest.raises(InputError, match="no model has answered"):
        consensus(warehouse, "\udcff")
    with pytest.raises(InputError, match="'moods' is no category"):
        consensus(warehouse, "no seed's text", category="moods")


def test_strength_has_its_limits_at_half_and_seventy_percent() -> None:
    assert [strength(share) for share in (1, 0.7, 0.69, 0.5, 0.49, 0)] == [
        "strong", "strong", "moderate", "moderate", "weak", "weak",
    ]  # fmt: skip


def test_every_category_is_known_to_the_small_lake(warehouse: Warehouse) -> None:
    assert {row.category for row in all_consensus(warehouse)} == {*FIELDS}


def test_threads_ask_about_different_answers_at_the_same_time(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda one: sorted(all_consensus(warehouse, one)), _SELECTIONS * 3)

    expected = [_counted(_chosen(answers, one)) for one in _SELECTIONS]
    assert list(found) == expected * 3
