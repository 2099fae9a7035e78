import math
from collections import Counter

import numpy as np
import pytest

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.facts import normalise
from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.tags import TopTag, top_tags
from grabient_ops.analytics.questions.versions import (
    tags_by_version,
    version_difference,
    versions,
)
from grabient_ops.analytics.warehouse import Warehouse
from grabient_ops.errors import InputError
from tests.analytics.questions.conftest import HOSTILE, PROMPTS, Opener, answered, said


def _ranked(answers: list[Answer]) -> list[TopTag]:
    facts = said(answers)
    votes = Counter((fact.category, fact.tag) for fact in facts)
    palettes = Counter(key[:2] for key in {(f.category, f.tag, f.seed) for f in facts})
    models = Counter(key[:2] for key in {(f.category, f.tag, f.model) for f in facts})
    order = sorted(votes, key=lambda key: (-votes[key], key))
    return [
        TopTag(place, *key, votes[key], palettes[key], models[key],
               votes[key] / len(answered(answers)))
        for place, key in enumerate(order, 1)
    ]  # fmt: skip


def test_top_tags_are_ranked_as_by_hand(warehouse: Warehouse, answers: list[Answer]) -> None:
    expected = _ranked(answers)

    assert top_tags(warehouse) == expected
    assert top_tags(warehouse, limit=7) == expected[:7]
    assert {*map(normalise, HOSTILE)} <= {row.tag for row in expected}


def test_top_tags_of_a_category_and_of_some_answers(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    chosen = [a for a in answers if a.run_number == 2 and a.model == "claude"]
    expected = [row for row in _ranked(chosen) if row.category == "style"]

    found = top_tags(warehouse, Selection(models=["claude"], runs=[2]), category="style")

    assert [row._replace(place=0) for row in found] == [row._replace(place=0) for row in expected]
    assert [row.place for row in found] == list(range(1, len(expected) + 1))


def test_each_category_has_a_ranking_of_its_own(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    found = top_tags(warehouse, per_category=True, limit=2)

    best: dict[str, list[str]] = {}
    for row in _ranked(answers):
        best.setdefault(row.category, []).append(row.tag)
    assert [(row.category, row.place, row.tag) for row in found] == [
        (category, place, tag)
        for category in sorted(best)
        for place, tag in enumerate(best[category][:2], 1)
    ]


def test_versions_are_summed_up_as_by_hand(warehouse: Warehouse, answers: list[Answer]) -> None:
    for row, prompt in zip(versions(warehouse), PROMPTS, strict=True):
        own = [answer for answer in answers if answer.prompt_version == prompt]
        facts = said(own)
        good = len(answered(own))
        distinct = len({fact.tag for fact in facts})
        assert row == (prompt, len(own), good, 12, 4, 3, len(facts) / good, distinct)


def test_tags_by_version_hold_every_version_of_every_tag(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    votes = Counter((fact.category, fact.tag, fact.prompt) for fact in said(answers))
    sizes = Counter(answer.prompt_version for answer in answered(answers))
    ranked = [(row.category, row.tag) for row in _ranked(answers)]

    found = tags_by_version(warehouse)

    assert found == [
        (*key, prompt, votes[*key, prompt], sizes[prompt], votes[*key, prompt] / sizes[prompt])
        for key in ranked
        for prompt in PROMPTS
    ]
    assert any(row.votes == 0 for row in found)
    assert tags_by_version(warehouse, limit=3) == found[:6]
    assert tags_by_version(warehouse, category="mood") == [r for r in found if r.category == "mood"]


def test_difference_has_the_shares_and_the_clustered_z_of_numpy(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    good = answered(answers)
    seeds = sorted({answer.seed for answer in good})
    sizes = np.array(
        [[sum((a.seed, a.prompt_version) == (s, p) for a in good) for s in seeds] for p in PROMPTS]
    )
    votes = Counter((f.category, f.tag, f.prompt, f.seed) for f in said(answers))

    found = version_difference(warehouse, PROMPTS[0][:3], PROMPTS[1])

    assert {(row.category, row.tag) for row in found} >= {("mood", "new prompt"), ("mood", "凉")}
    for row in found:
        said_so = np.array([[votes[row.category, row.tag, p, s] for s in seeds] for p in PROMPTS])
        shares = said_so.sum(axis=1) / sizes.sum(axis=1)
        residual = (said_so - shares[:, None] * sizes) / sizes.sum(axis=1)[:, None]
        variance = ((residual[1] - residual[0]) ** 2).sum() * len(seeds) / (len(seeds) - 1)
        z = (shares[1] - shares[0]) / math.sqrt(variance)
        assert [row.old_share, row.new_share] == pytest.approx(shares.tolist())
        assert row.z == pytest.approx(z, rel=1e-6)
        assert row.p_value == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=1e-5, abs=1e-300)
        assert row.p_value <= row.q_value <= 1


def test_the_surest_difference_comes_first_and_rare_tags_are_not_compared(
    warehouse: Warehouse, answers: list[Answer]
) -> None:
    votes = Counter((fact.category, fact.tag) for fact in said(answers))
    least = sorted(votes.values())[len(votes) // 2]

    found = version_difference(warehouse, *PROMPTS, min_votes=least)

    assert (found[0].category, found[0].tag) == ("mood", "new prompt")
    assert found[0].q_value < 1e-6 < found[-1].q_value
    assert {(r.category, r.tag) for r in found} == {k for k, n in votes.items() if n >= least}


def test_a_single_palette_is_judged_by_the_plain_test_of_proportions(open_answers: Opener) -> None:
    rows = [
        Answer(n, "s", "groq", "m", n, prompt, 1, "b", '{"mood": ["calm"]}' if is_calm else "{}")
        for n, (prompt, is_calm) in enumerate(
            [("old", False)] * 6 + [("old", True)] * 4 + [("new", True)] * 10, 1
        )
    ]

    (row,) = version_difference(open_answers(rows), "old", "new")

    assert row.z == pytest.approx(0.6 / math.sqrt(0.7 * 0.3 * (2 / 10)))
    assert row.q_value == row.p_value


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("aaaa", "aaaa11", "are the same prompt version"),
        ("aaaa", "b", "no answer has a prompt version 'b'"),
        ("aa", "aaaa", "several prompt versions begin 'aa'"),
    ],
)
def test_versions_that_cannot_be_compared_are_refused(
    warehouse: Warehouse, old: str, new: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        version_difference(warehouse, old, new)


def test_a_version_with_failures_only_cannot_be_compared(open_answers: Opener) -> None:
    good = Answer(1, "s", "groq", "m", 1, "old", 1, "b", "{}")
    failed = good._replace(response_id=2, prompt_version="new", tags=None, error_class="refused")
    warehouse = open_answers([good, failed])

    with pytest.raises(InputError, match="'new' has no answers"):
        version_difference(warehouse, "old", "new")

    assert versions(warehouse)[0] == ("new", 1, 0, 1, 1, 1, None, 0)
