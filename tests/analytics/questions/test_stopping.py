"""Expected flips and stopping rules, against sums by hand."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import comb, prod
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.questions import asking
from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.flips import expected_flips, flip_chance
from grabient_ops.analytics.questions.stopping import Stopping, stopping
from grabient_ops.analytics.questions.usage import ModelPrices
from grabient_ops.analytics.warehouse import Warehouse
from tests.analytics.questions.conftest import PROMPTS, RUNS, Opener, answered, said

_HALF = Fraction(1, 2)
_MODELS = 4
_ONE_PROMPT = Selection(prompts=PROMPTS[:1])
_PRICES = [ModelPrices("openai", "gpt-4o-mini", *[8.0] * 6)]


def _chance(votes: int, responses: int, asked: int) -> float:
    """The chance of a flip, from the definition of the beta-binomial, in fractions."""

    def rising(start: Fraction, steps: int) -> Fraction:
        return prod((start + step for step in range(steps)), start=Fraction(1))

    yes, no = votes + _HALF, responses - votes + _HALF
    ways = {
        more: comb(asked, more) * rising(yes, more) * rising(no, asked - more)
        for more in range(asked + 1)
    }
    is_in = 2 * votes >= responses
    flips = [
        way for more, way in ways.items() if (2 * (votes + more) >= responses + asked) != is_in
    ]
    return float(sum(flips) / rising(yes + no, asked))


_numbers = st.integers(1, 60).flatmap(
    lambda responses: st.tuples(st.integers(0, responses), st.just(responses))
)


@given(numbers=st.lists(_numbers, min_size=1), asked=st.integers(1, 25))
def test_the_chance_of_a_flip_is_that_of_the_definition(
    numbers: list[tuple[int, int]], asked: int
) -> None:
    votes, responses = np.array(numbers, dtype=np.int64).T

    found = flip_chance(votes, responses, asked)

    assert found.tolist() == pytest.approx([_chance(*pair, asked) for pair in numbers], abs=1e-12)


def test_only_tags_near_the_line_can_flip() -> None:
    votes = np.arange(81)

    chances = flip_chance(votes, np.full(81, 80), 10)

    assert np.flatnonzero(chances).tolist() == [*range(35, 45)]
    assert 0.3 < chances[39] < chances[40] < 0.5
    assert chances[35] < chances[36] < chances[37]


def test_without_a_further_answer_nothing_flips() -> None:
    assert flip_chance(np.array([0, 1, 2]), np.array([2, 2, 2]), 0).tolist() == [0, 0, 0]


def _counts(answers: list[Answer]) -> dict[str, tuple[int, Counter[tuple[str, str]]]]:
    """By seed, how many answers there are, and how many gave each tag."""
    found = {answer.seed: (0, Counter[tuple[str, str]]()) for answer in answered(answers)}
    for answer in answered(answers):
        found[answer.seed] = (found[answer.seed][0] + 1, found[answer.seed][1])
    for fact in said(answers):
        found[fact.seed][1][fact.category, fact.tag] += 1
    return found


def _flips(answers: list[Answer]) -> dict[str, float]:
    return {
        seed: sum(_chance(count, responses, _MODELS) for count in votes.values())
        for seed, (responses, votes) in _counts(answers).items()
        if responses >= 5
    }


@pytest.mark.parametrize("facts_at_once", [200, 10**9])
def test_flips_of_palettes_are_the_sums_over_their_tags(
    warehouse: Warehouse,
    answers: list[Answer],
    facts_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_FACTS_AT_ONCE", facts_at_once)
    chosen = [answer for answer in answers if answer.prompt_version == PROMPTS[0]]

    found = expected_flips(warehouse, _MODELS, _ONE_PROMPT)

    assert len(found) == len({answer.seed for answer in answers})
    assert found == pytest.approx(_flips(chosen))
    assert found == expected_flips(warehouse, _MODELS, _ONE_PROMPT)


def test_few_answers_tell_nothing(open_answers: Opener) -> None:
    def rows(seed: str, count: int) -> list[Answer]:
        return [
            Answer(0, seed, "groq", f"m{n}", 1, "p", 1, "b", '{"mood": ["calm"]}')
            for n in range(count)
        ]

    some = [*rows("four", 4), *rows("five", 5)]
    warehouse = open_answers(row._replace(response_id=n) for n, row in enumerate(some))

    assert set(expected_flips(warehouse, 5)) == {"five"}


def _agreed(answers: list[Answer], seed: str) -> set[tuple[str, str]]:
    responses, votes = _counts(answers).get(seed, (0, Counter()))
    return {tag for tag, count in votes.items() if 2 * count >= responses}


def _tried(answers: Sequence[Answer], stops: dict[str, int]) -> tuple[float, int, float]:
    """Agreement, saved requests and saved USD when each palette stops after its run."""
    alike = []
    for seed, stop in stops.items():
        some = _agreed([a for a in answers if a.run_number <= stop], seed)
        whole = _agreed(list(answers), seed)
        alike.append(len(some & whole) / len(some | whole))
    saved = [a for a in answers if a.run_number > stops.get(a.seed, 99)]
    priced = [a for a in saved if a.model == "gpt-4o-mini"]
    tokens = sum(answer.input_tokens + answer.output_tokens for answer in priced)
    return fmean(alike), len(saved), tokens * 8e-6


def _row(stop: Stopping) -> tuple[float, int, float | None]:
    return stop.agreement, stop.saved_requests, stop.saved_usd


def test_stopping_all_after_a_run_is_what_the_answers_up_to_it_say(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    chosen = [answer for answer in answers if answer.prompt_version == PROMPTS[0]]
    seeds = {answer.seed for answer in answered(chosen) if answer.run_number == 3}

    found = stopping(warehouse, _PRICES, _ONE_PROMPT, thresholds=())

    assert [row.run for row in found] == [1, 2]
    for row in found:
        assert row.palettes == len(seeds)
        assert row.requests == len([answer for answer in chosen if answer.seed in seeds])
        assert _row(row) == pytest.approx(_tried(chosen, dict.fromkeys(seeds, row.run or 0)))
        assert 0 < row.saved_share < 1


def test_each_palette_stops_after_the_first_run_that_expects_few_flips(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    chosen = [answer for answer in answers if answer.prompt_version == PROMPTS[0]]
    seeds = {answer.seed for answer in answered(chosen) if answer.run_number == 3}
    by_run = {run: _flips([a for a in chosen if a.run_number <= run]) for run in RUNS}
    expected = sorted(flips for some in by_run.values() for flips in some.values())
    middle = len(expected) // 2
    thresholds = [expected[0] / 2, fmean(expected[middle : middle + 2]), expected[-1] + 1]

    found = stopping(warehouse, _PRICES, _ONE_PROMPT, thresholds)[2:]

    assert [row.flips for row in found] == thresholds
    for row, flips in zip(found, thresholds, strict=True):
        stops = {
            seed: next((run for run in RUNS[:-1] if by_run[run].get(seed, 99) < flips), RUNS[-1])
            for seed in seeds
        }
        assert _row(row) == pytest.approx(_tried(chosen, stops))
    assert found[0].saved_requests == 0
    assert found[0].agreement == 1
    assert found[0].saved_usd == 0


def test_palettes_that_the_last_run_did_not_reach_are_not_judged(open_answers: Opener) -> None:
    def row(seed: str, run: int) -> Answer:
        return Answer(0, seed, "groq", "m", run, "p", 1, "b", '{"mood": ["calm"]}')

    some = [row("whole", 1), row("whole", 2), row("early", 1)]
    warehouse = open_answers(row._replace(response_id=n) for n, row in enumerate(some))

    (found,) = stopping(warehouse, thresholds=())

    assert (found.palettes, found.requests, found.saved_requests) == (1, 2, 1)
    assert (found.agreement, found.cost_usd) == (1, None)


def test_one_run_cannot_have_been_shorter(warehouse: Warehouse) -> None:
    assert stopping(warehouse, selection=Selection(runs=[1])) == []
