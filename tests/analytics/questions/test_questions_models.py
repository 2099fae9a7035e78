from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.questions import asking
from grabient_ops.analytics.questions.accuracy import JUDGED, accuracy
from grabient_ops.analytics.questions.agreement import agreement, pair_agreement
from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.convergence import convergence
from grabient_ops.analytics.questions.reliability import reliability
from grabient_ops.analytics.warehouse import Warehouse
from grabient_ops.errors import InputError
from grabient_ops.palettes.describe import describe
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, LIST_FIELDS
from tests.analytics.questions.conftest import Opener, Said, answered, said

Key = tuple[str, str, str, int]
Tags = frozenset[str]


def _sets(answers: list[Answer], category: str) -> dict[Key, Tags]:
    """What each answer said in a category; nothing is a legitimate answer."""
    found: dict[Key, set[str]] = {
        (a.seed, a.prompt_version, f"{a.provider}/{a.model}", a.run_number): set()
        for a in answered(answers)
    }
    for fact in said(answers):
        if fact.category == category:
            found[fact.seed, fact.prompt, fact.model, fact.run].add(fact.tag)
    return {key: frozenset(tags) for key, tags in found.items()}


def _alpha(units: list[list[Tags]], distance: Callable[[Tags, Tags], float]) -> float:
    """Krippendorff's alpha from all pairs of values, as the definition has it."""
    units = [unit for unit in units if len(unit) >= 2]
    values = [value for unit in units for value in unit]
    observed = sum(
        2 * sum(distance(a, b) for a, b in combinations(unit, 2)) / (len(unit) - 1)
        for unit in units
    ) / len(values)
    expected = 2 * sum(distance(a, b) for a, b in combinations(values, 2))
    return 1 - observed / (expected / (len(values) * (len(values) - 1)))


def _grouped(sets: dict[Key, Tags]) -> list[list[Tags]]:
    units: dict[str, list[Tags]] = defaultdict(list)
    for (seed, *_), tags in sets.items():
        units[seed].append(tags)
    return list(units.values())


@pytest.mark.parametrize("runs", [[], [2], [1, 3]])
def test_alpha_is_that_of_the_definition(
    warehouse: Warehouse, answers: list[Answer], runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_FACTS_AT_ONCE", 10**6 if runs else 700)
    chosen = [a for a in answers if not runs or a.run_number in runs]

    found = {row.category: row for row in agreement(warehouse, Selection(runs=runs))}

    assert {*found} == {*FIELDS}
    for category in ("mood", "harmony", *CATEGORIES):
        units = _grouped(_sets(chosen, category))
        alpha = _alpha(units, lambda a, b: len(a ^ b))
        assert found[category].alpha == pytest.approx(alpha)
        assert found[category].answers == sum(map(len, units))
    for category in CATEGORIES:
        nominal = _alpha(_grouped(_sets(chosen, category)), lambda a, b: a != b)
        assert found[category].alpha == pytest.approx(nominal)


def test_alpha_is_that_of_krippendorffs_own_example(open_answers: Opener) -> None:
    # "Computing Krippendorff's alpha-reliability" (2011), section C: nominal alpha 0.743.
    words = ("-", "warm", "cool", "neutral", "cool-warm", "fifth")
    coders = (
        (1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
        (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0),
    )
    rows = [
        Answer(0, f"unit {unit}", "groq", f"coder {coder}", 1, "p", 1, "b",
               f'{{"temperature": "{words[value]}"}}')
        for coder, values in enumerate(coders) for unit, value in enumerate(values) if value
    ]  # fmt: skip
    numbered = [row._replace(response_id=number) for number, row in enumerate(rows)]

    (row,) = agreement(open_answers(numbered))

    assert row.alpha == pytest.approx(0.743, abs=5e-4)
    assert (row.palettes, row.answers) == (11, 40)


def test_alpha_is_unknown_where_all_say_the_same(open_answers: Opener) -> None:
    rows = [Answer(n, "s", "groq", "m", n, "p", 1, "b", '{"contrast": "low"}') for n in range(1, 4)]

    assert agreement(open_answers(rows)) == [("contrast", 1, 3, None)]


@pytest.mark.parametrize("facts_at_once", [700, 10**6])
def test_pairs_share_what_python_sets_share(
    warehouse: Warehouse,
    answers: list[Answer],
    facts_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_FACTS_AT_ONCE", facts_at_once)
    tags: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for fact in said(answers):
        tags[fact.model, fact.seed, fact.category].add(fact.tag)

    found = pair_agreement(warehouse)

    assert len(found) == 6 * len(FIELDS)
    for row in found:
        both, either = 0, 0
        for seed in {answer.seed for answer in answers}:
            a, b = tags[row.model_a, seed, row.category], tags[row.model_b, seed, row.category]
            both, either = both + len(a & b), either + len(a | b)
        assert row.tags == either
        assert row.jaccard == pytest.approx(both / either)


def test_palettes_of_one_model_only_do_not_count_against_a_pair(open_answers: Opener) -> None:
    def row(number: int, seed: str, model: str, mood: str) -> Answer:
        return Answer(number, seed, "groq", model, 1, "p", 1, "b", f'{{"mood": ["{mood}"]}}')

    warehouse = open_answers([
        row(1, "one", "a", "calm"), row(2, "one", "b", "calm"), row(3, "two", "a", "bold"),
        row(4, "three", "c", "dark"),
    ])  # fmt: skip

    assert pair_agreement(warehouse) == [("mood", "groq/a", "groq/b", 1, 1.0)]


def test_too_many_models_for_pairs_are_refused_until_some_are_chosen(open_answers: Opener) -> None:
    rows = [
        Answer(n, "s", "groq", f"m{n}", 1, "p", 1, "b", '{"mood": ["calm"]}') for n in range(70)
    ]
    warehouse = open_answers(rows)

    with pytest.raises(InputError, match="choose with --model"):
        pair_agreement(warehouse)

    assert len(pair_agreement(warehouse, Selection(models=["m1", "m2"]))) == 1


def test_reliability_counts_the_votes_and_knows_who_says_what(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    votes = Counter((fact.category, fact.model) for fact in said(answers))

    found = reliability(warehouse)

    assert len(found) == 4 * len(CATEGORIES)
    for row in found:
        assert row.votes == votes[row.category, f"{row.provider}/{row.model}"]
        assert 0.3 < row.accuracy < 1
        assert {*row.confusion} == {*CATEGORIES[row.category]}
        assert all(sum(said.values()) == pytest.approx(1) for said in row.confusion.values())


def test_words_outside_the_vocabulary_are_no_votes(open_answers: Opener) -> None:
    row = Answer(1, "s", "groq", "m", 1, "p", 1, "b", '{"contrast": "low"}')
    strange = row._replace(response_id=2, run_number=2, tags='{"contrast": "凉"}')

    assert [(r.category, r.votes) for r in reliability(open_answers([row, strange]))] == [
        ("contrast", 1)
    ]


def test_accuracy_is_held_against_the_computed_facts(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    looks = {d.seed: d.looks.facts for d in describe([a.seed for a in answers]) if d.looks}
    truth = {
        (seed, category): {value} if isinstance(value, str) else {*value}
        for seed, facts in looks.items()
        for category in JUDGED
        for value in [getattr(facts, category)]
    }
    good = [answer for answer in answered(answers) if answer.seed in looks]
    own: dict[tuple[str, str], list[Said]] = defaultdict(list)
    for fact in said(good):
        own[fact.model, fact.category].append(fact)

    found = accuracy(warehouse)

    assert len(found) == 4 * len(JUDGED)
    for row in found:
        model = f"{row.provider}/{row.model}"
        mine = [answer for answer in good if f"{answer.provider}/{answer.model}" == model]
        facts_ = own[model, row.category]
        hits = sum(fact.tag in truth[fact.seed, row.category] for fact in facts_)
        due = sum(len(truth[answer.seed, row.category]) for answer in mine)
        assert row[3:] == (len(mine), len(facts_), hits, due)
        assert row.precision == hits / len(facts_)
        assert row.recall == hits / due


def test_without_any_valid_seed_nothing_can_be_judged(open_answers: Opener) -> None:
    row = Answer(1, "凉", "groq", "m", 1, "p", 1, "b", '{"contrast": "low"}')

    assert accuracy(open_answers([row])) == []


@pytest.mark.parametrize("facts_at_once", [100, 10**9])
def test_convergence_is_the_distance_of_the_sets_by_hand(
    warehouse: Warehouse,
    answers: list[Answer],
    facts_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_FACTS_AT_ONCE", facts_at_once)

    found = {(row.category, row.run): row for row in convergence(warehouse)}

    assert {*found} == {(field, run) for field in FIELDS for run in (2, 3)}
    for category in FIELDS:
        sets = _sets(answers, category)
        for run in (2, 3):
            distances = _distances(sets, run)
            row = found[category, run]
            assert row.palettes == len(distances)
            assert row.distance == pytest.approx(fmean(distances))
            assert row.stable == pytest.approx(distances.count(0) / len(distances))


def _distances(sets: dict[Key, Tags], run: int) -> list[float]:
    """One for each palette that has answers in the run and before it."""
    distances = []
    for seed in {key[0] for key in sets}:
        before = [tags for key, tags in sets.items() if key[0] == seed and key[3] < run]
        with_it = [tags for key, tags in sets.items() if key[0] == seed and key[3] <= run]
        if before and len(with_it) > len(before):
            old, new = _agreed(before), _agreed(with_it)
            distances.append(len(old ^ new) / len(old | new) if old | new else 0.0)
    return distances


def _agreed(sets: list[Tags]) -> Tags:
    votes = Counter(tag for tags in sets for tag in tags)
    return frozenset(tag for tag, count in votes.items() if 2 * count >= len(sets))


def test_convergence_skips_palettes_that_the_run_did_not_reach(open_answers: Opener) -> None:
    def row(number: int, seed: str, run: int, mood: str) -> Answer:
        return Answer(number, seed, "groq", "m", run, "p", 1, "b", f'{{"mood": ["{mood}"]}}')

    warehouse = open_answers([
        row(1, "a", 1, "calm"), row(2, "a", 3, "calm"), row(3, "b", 1, "calm"),
        row(4, "b", 2, "bold"), row(5, "c", 3, "late"),
    ])  # fmt: skip

    found = [row for row in convergence(warehouse) if row.category == "mood"]

    # a is judged in run 3 (unchanged), b in run 2 (one of two tags is new), c never.
    assert found == [("mood", 2, 1, 0.5, 0.0), ("mood", 3, 1, 0.0, 1.0)]


def test_one_run_converges_to_nothing(warehouse: Warehouse) -> None:
    assert convergence(warehouse, Selection(runs=[1])) == []


def test_numbers_are_plain_python(warehouse: Warehouse) -> None:
    rows: list[tuple[object, ...]] = [
        *agreement(warehouse), *pair_agreement(warehouse), *reliability(warehouse),
        *accuracy(warehouse), *convergence(warehouse),
    ]  # fmt: skip
    assert not [value for row in rows for value in row if isinstance(value, np.generic)]
    assert {row[0] for row in agreement(warehouse)} >= {*LIST_FIELDS}
